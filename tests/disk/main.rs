//! Executions on stores that are on a disk: the driver and the store as a program has them, on both
//! tokio flavours.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../engine/support/flavours.rs"]
#[expect(dead_code, unused_macros, reason = "other tests need the rest")]
mod flavours;
#[path = "../recovery/forwarding.rs"]
mod forwarding;

mod cancels;
mod dice;
mod panics;
mod places;
mod starts;
