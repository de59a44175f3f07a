//! The logs of the engine, on standard error.

use std::io;
use std::sync::Arc;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::CliError;
use crate::messages::Messages;
use crate::session::Session;

/// Shows logs as `FLOW_LOG`, `-v` and `-q` ask for.
pub(crate) fn install(session: &Session) -> Result<(), CliError> {
    let flow_log = std::env::var("FLOW_LOG").ok();
    let filter = session.settings.verbosity.log_filter(flow_log.as_deref())?;
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .without_time()
        .with_ansi(session.output.messages().is_styled())
        .with_writer(LogLines(session.output.messages().clone()));
    // A program that embeds the command line may have a subscriber of its own.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(())
}

/// Logs go where all messages go, so that they do not tear a live picture.
#[derive(Clone)]
struct LogLines(Arc<Messages>);

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
