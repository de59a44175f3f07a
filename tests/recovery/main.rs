//! Crashes, in process: whatever a process was doing when it died, what was accepted ends, once, and
//! nothing that was finished is done again.
//!
//! The store is the one in memory, so that thousands of crashes take seconds; the stores on disk pass
//! the same suite as that one, in `flowstore/tests`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod broken;
mod every_commit;
mod site;
mod witness;
mod workloads;
