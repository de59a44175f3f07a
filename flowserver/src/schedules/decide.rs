//! Which due times have come, and which of them run.

use std::time::Duration;

use flowcore::{DueTimes, Missed, Timestamp};

use super::state::{Outcome, Run, SkipReason};

/// How many missed times `all` makes up for.
pub(super) const MOST_MISSED: usize = 100;

/// How late an execution may start and still be on time, also with `skip`: a server that restarts
/// takes no longer.
pub(super) const ON_TIME: Duration = Duration::from_secs(60);

/// How many times that were left out are counted one by one; a clock may be years ahead.
const MOST_COUNTED: usize = 10_000;

/// What follows from the due times that have come.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    /// Those that run, the earliest first.
    pub(super) start: Vec<Timestamp>,
    /// Those that do not; they are all before those that do.
    pub(super) skipped: Option<Run>,
    /// The last of all: whatever is not after it is done with.
    pub(super) last: Timestamp,
}

/// Decides about the due times after `after` that have come by `now`; `None` when there is none.
pub(super) fn decide(
    due: &DueTimes,
    missed: Missed,
    after: Timestamp,
    now: Timestamp,
) -> Option<Decision> {
    let first = due.after(after).filter(|first| *first <= now)?;
    let last = due.at_or_before(now).unwrap_or(first).max(first);
    let most = match missed {
        Missed::Skip if now.since(last) > ON_TIME => 0,
        Missed::Skip | Missed::Latest => 1,
        Missed::All => MOST_MISSED,
    };
    let mut backwards =
        std::iter::successors(Some(last), |one| before(due, *one)).take_while(|one| *one >= first);
    let mut start: Vec<_> = backwards.by_ref().take(most).collect();
    start.reverse();
    let reason = match missed {
        Missed::Skip => SkipReason::Missed,
        Missed::Latest => SkipReason::LaterOne,
        Missed::All => SkipReason::TooMany,
    };
    let skipped = backwards.next().map(|until| {
        let others = backwards.take(MOST_COUNTED).count();
        Run {
            due_at: first,
            until: (until != first).then_some(until),
            count: (others < MOST_COUNTED).then_some(others as u64 + 1),
            outcome: Outcome::Skipped,
            reason: Some(reason.text().to_owned()),
            execution: None,
            version: None,
        }
    });
    Some(Decision { start, skipped, last })
}

fn before(due: &DueTimes, moment: Timestamp) -> Option<Timestamp> {
    due.at_or_before(Timestamp::from_micros(moment.as_micros().checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-01T{text}Z").parse().unwrap()
    }

    /// What is started, then what is skipped.
    #[track_caller]
    fn check(
        missed: Missed,
        (after, now): (&str, &str),
        start: &[&str],
        skipped: Option<(&str, &str, u64)>,
    ) {
        let due = DueTimes::new("0 * * * *", None).unwrap();
        let decision = decide(&due, missed, at(after), at(now)).unwrap();
        let start: Vec<_> = start.iter().map(|text| at(text)).collect();
        assert_eq!(decision.start, start);
        let range = decision
            .skipped
            .map(|run| (run.due_at, run.until.unwrap_or(run.due_at), run.count.unwrap()));
        assert_eq!(range, skipped.map(|(from, until, count)| (at(from), at(until), count)));
        assert_eq!(decision.last, at(&format!("{}:00:00", &now[..2])));
    }

    #[test]
    fn one_that_has_just_come_runs_under_every_policy() {
        for missed in [Missed::Skip, Missed::Latest, Missed::All] {
            check(missed, ("05:00:00", "06:00:00"), &["06:00:00"], None);
            check(missed, ("05:00:00", "06:00:59.5"), &["06:00:00"], None);
        }
        let due = DueTimes::new("0 * * * *", None).unwrap();
        assert_eq!(decide(&due, Missed::All, at("05:00:00"), at("05:59:59.9")), None);
        // A clock that was set back.
        assert_eq!(decide(&due, Missed::All, at("05:00:00"), at("03:00:00")), None);
    }

    #[test]
    fn each_policy_makes_up_for_what_it_says() {
        let night = ("01:00:00", "06:30:00");
        check(Missed::Skip, night, &[], Some(("02:00:00", "06:00:00", 5)));
        check(Missed::Skip, ("05:00:00", "06:01:01"), &[], Some(("06:00:00", "06:00:00", 1)));
        let just = ("01:00:00", "06:00:30");
        check(Missed::Skip, just, &["06:00:00"], Some(("02:00:00", "05:00:00", 4)));
        check(Missed::Latest, night, &["06:00:00"], Some(("02:00:00", "05:00:00", 4)));
        let all = ["02:00:00", "03:00:00", "04:00:00", "05:00:00", "06:00:00"];
        check(Missed::All, night, &all, None);
    }

    #[test]
    fn all_has_a_limit_and_what_is_left_out_is_counted_up_to_one() {
        let due = DueTimes::new("* * * * * *", None).unwrap();
        let decision = decide(&due, Missed::All, at("00:00:00"), at("00:10:00")).unwrap();
        assert_eq!(decision.start.len(), MOST_MISSED);
        assert_eq!(decision.start.first(), Some(&at("00:08:21")));
        assert_eq!(decision.skipped.as_ref().and_then(|run| run.count), Some(500));
        let late = decide(&due, Missed::Latest, at("00:00:00"), at("23:59:59")).unwrap();
        assert_eq!((late.start, late.skipped.unwrap().count), (vec![at("23:59:59")], None));
    }
}
