//! The log of the server, on standard error: lines for people on a terminal, else JSON.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Shows logs as `FLOW_LOG` asks for: a level, or levels by crate.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn install() -> Result<(), String> {
    let usual =
        Targets::new().with_default(LevelFilter::WARN).with_target("flow", LevelFilter::INFO);
    let filter = match std::env::var("FLOW_LOG") {
        Ok(text) if !text.trim().is_empty() => {
            let parsed = text.parse::<Targets>();
            parsed.map_err(|error| format!("FLOW_LOG is no filter of logs: {error}"))?
        }
        _ => usual,
    };
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match std::io::stderr().is_terminal() {
        true => layer.compact().boxed(),
        false => layer.json().flatten_event(true).boxed(),
    };
    // A program that embeds the server may have a subscriber of its own.
    let _ = tracing_subscriber::registry().with(layer).with(filter).try_init();
    Ok(())
}
