//! What the tests of several crates need: private instances of services, and small disks.
#![warn(missing_docs)]

mod authority;
mod disk;
mod postgres;

pub use authority::{Authority, Identity};
pub use disk::{on_small_disk, small_disk};
pub use postgres::{Postgres, postgres, unused_port};

/// Says on standard error that a test was skipped because a program is not installed.
///
/// # Panics
/// With `FLOW_REQUIRE_SERVICES` in the environment: there, nothing may be missing.
pub fn skipped(what: &str) {
    assert!(
        std::env::var_os("FLOW_REQUIRE_SERVICES").is_none(),
        "{what} is not installed, and FLOW_REQUIRE_SERVICES is set"
    );
    #[expect(clippy::print_stderr, reason = "that is how a test says so")]
    {
        eprintln!("skipped: {what} not installed");
    }
}
