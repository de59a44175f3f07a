//! Proof on demand: crashes a workflow wherever a crash can hit it, and checks what comes of it.
//!
//! One run is really made and recorded. From then on nothing real happens but that `pure` nodes run
//! again: everything else answers as it was recorded, at the same moments of virtual time, so that what
//! ends first is what ended first. Each crash is a process on a store in memory that dies at one
//! write, and another one that goes on with what is kept.

mod campaign;
mod cast;
mod crash;
pub(crate) mod dry;
mod finding;
mod judge;
mod ledger;
mod messenger;
pub(crate) mod outcome;
pub(crate) mod real;
mod recording;
pub(crate) mod report;
pub(crate) mod site;
#[cfg(test)]
mod tests;
mod twice;

pub(crate) use campaign::{Campaign, Progress};
pub(crate) use finding::Finding;
pub(crate) use ledger::Ledger;
pub(crate) use recording::Recording;
pub(crate) use site::Site;
pub(crate) use twice::{Twice, run_twice};

/// The codes of what is found.
pub(crate) mod codes {
    /// An execution that was accepted is gone.
    pub(crate) const LOST: &str = "verify.lost";
    /// It does not end.
    pub(crate) const STUCK: &str = "verify.stuck";
    /// What is kept makes no sense.
    pub(crate) const BAD_HISTORY: &str = "verify.bad_history";
    /// A node that was finished, or may be started once only, was started again.
    pub(crate) const RAN_AGAIN: &str = "verify.ran_again";
    /// A node with the effect `pure` gave something else.
    pub(crate) const NOT_PURE: &str = "verify.not_pure";
    /// Something else came out.
    pub(crate) const OTHER_RESULT: &str = "verify.other_result";
    /// The recorded run gives something else when it is gone through again.
    pub(crate) const NOT_REPEATABLE: &str = "verify.not_repeatable";
    /// A second attempt with the same key led to something else.
    pub(crate) const NOT_IDEMPOTENT: &str = "verify.twice_differs";
    /// An attempt that the recorded run did not make.
    pub(crate) const NOT_RECORDED: &str = "verify.not_recorded";
}
