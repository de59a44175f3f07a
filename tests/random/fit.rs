//! Cases as the driver can play them.

use std::time::Duration;

use flowcore::Effect;

use crate::script::{Case, Ends};

/// A case that the driver can play: only nodes with access to the shared state write to it, and an
/// attempt that takes too long does so on its own account.
pub(crate) fn for_storm(case: &Case) -> Case {
    let mut case = case.clone();
    for node in &mut case.nodes {
        let may_write = node.effect != Effect::Pure;
        for plan in &mut node.plans {
            plan.writes &= may_write;
            if plan.ends == Ends::TooLate {
                plan.ends = Ends::Badly;
            }
        }
    }
    case
}

/// The same, and of whatever takes time the driver and the reference say the same: no two things
/// happen at the same moment by chance, and chance does not decide how long a wait is.
pub(crate) fn for_agreement(case: &Case) -> Case {
    for_agreement_within(case, MOST_MILLIS)
}

/// The same with times of at most so many milliseconds.
pub(crate) fn for_agreement_within(case: &Case, most: u64) -> Case {
    let mut case = for_storm(case);
    let mut times = Times { state: case.seed, most };
    for node in &mut case.nodes {
        node.timeout_ms = node.timeout_ms.map(|_| times.millis());
        if let Some(retry) = &mut node.retry {
            retry.jitter = false;
            retry.delay_ms = times.millis();
            retry.max_delay_ms = times.millis();
            retry.max_elapsed_ms = retry.max_elapsed_ms.map(|_| 2 * times.millis());
        }
        let is_bounded = node.timeout_ms.is_some()
            || node.retry.as_ref().is_some_and(|it| it.max_elapsed_ms.is_some());
        for plan in &mut node.plans {
            plan.duration = times.micros();
            plan.retry_after_ms = plan.retry_after_ms.map(|_| times.millis());
            // The driver takes whatever comes of an attempt that was told to stop for its
            // cancellation, unless it is a success; and it knows no time-out then.
            plan.fails_when_told = false;
            if is_bounded || !matches!(plan.ends, Ends::Well | Ends::InPanic) {
                plan.stops_after = Some(0);
            }
        }
    }
    case.deadline = case.deadline.map(|_| 2 * times.micros());
    for cancel in &mut case.cancels {
        *cancel = 2 * times.micros();
    }
    case.cancels.sort_unstable();
    // No handle pauses yet.
    case.pauses.clear();
    // There are permits enough. What the driver does first of things that follow from each other.
    case.permit_every = 1;
    case.ranks = [0, 2, 3, 4, 1, 5];
    case.is_driven = true;
    case
}

/// Different times, in whole milliseconds, as tokio's clock counts.
struct Times {
    state: u64,
    most: u64,
}

impl Times {
    fn millis(&mut self) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        1 + (mixed ^ (mixed >> 31)) % self.most
    }

    fn micros(&mut self) -> i64 {
        i64::try_from(self.millis()).unwrap() * 1000
    }
}

/// So long that hardly two sums of some of them are equal.
const MOST_MILLIS: u64 = 1_000_000_000;

/// A time of the script.
pub(crate) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap())
}
