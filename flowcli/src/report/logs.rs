//! The logs of the engine, on standard error.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::CliError;
use crate::session::Session;

/// Shows logs as `FLOW_LOG`, `-v` and `-q` ask for.
pub(crate) fn install(session: &Session) -> Result<(), CliError> {
    let flow_log = std::env::var("FLOW_LOG").ok();
    let filter = session.settings.verbosity.log_filter(flow_log.as_deref())?;
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .without_time()
        .with_ansi(session.output.has_styled_messages())
        .with_writer(std::io::stderr);
    // A program that embeds the command line may have a subscriber of its own.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(())
}
