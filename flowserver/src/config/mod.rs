//! Where options come from: arguments, variables, one TOML file, or their defaults, in this order.
//!
//! [`Args`](crate::args::Args) is the only list of options. What the file says becomes arguments, so
//! a new option is one of the file, and is listed by `--check-config`, without a line here.

mod file;
#[cfg(test)]
mod sample;
mod sources;

pub(crate) use sources::{Config, ConfigError};
