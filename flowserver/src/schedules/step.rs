//! What is to be done next for a schedule.

use std::time::Duration;

use flowcore::Timestamp;
use flowruntime::store::KEY_LIFE;
use uuid::Uuid;

use super::decide::decide;
use super::state::{Claim, Run, SkipReason};
use super::{Schedule, State};

/// How long whoever has claimed due times has for starting their executions; then others may.
pub(super) const CLAIM_TIME: Duration = Duration::from_secs(30);

/// What is to be done next for a schedule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Nothing before this moment; never, if there is none.
    Wait(Option<Timestamp>),
    /// It is as far as this from now on; with `None`, nothing is kept of it.
    Keep(Option<State>),
    /// It is as far as this, with a claim: start what is claimed. This was skipped.
    Claim(State, Option<Run>),
}

/// What is to be done next by somebody: from what is kept and the time alone.
pub(super) fn next_step(
    schedule: Option<&Schedule>,
    state: Option<&State>,
    now: Timestamp,
    by: Uuid,
) -> Step {
    let Some(schedule) = schedule else {
        return if state.is_some() { Step::Keep(None) } else { Step::Wait(None) };
    };
    let mut next = State::following(state, schedule);
    if state != Some(&next) {
        return Step::Keep(Some(next));
    }
    if !next.is_enabled {
        return Step::Wait(None);
    }
    if let Some(claim) = &mut next.claim {
        // A claim from the future is that of a clock which is ahead a little, or was set back.
        let age = now.since(claim.at).max(claim.at.since(now));
        if age < CLAIM_TIME {
            return Step::Wait(Some(claim.at.after(CLAIM_TIME)));
        }
        // Whether it was started is known from the key, as long as there is one.
        if !schedule.is_durable || age >= KEY_LIFE / 2 {
            next.drop_claim(SkipReason::Interrupted);
            return Step::Keep(Some(next));
        }
        (claim.at, claim.by) = (now, by);
        return Step::Claim(next, None);
    }
    let Some(decision) = decide(&schedule.due, schedule.cron.missed, next.after, now) else {
        return Step::Wait(schedule.due.after(next.after));
    };
    next.after = decision.last;
    if let Some(skipped) = &decision.skipped {
        next.note(skipped.clone());
    }
    if !decision.start.is_empty() {
        next.claim = Some(Claim { at: now, by, due: decision.start });
    }
    Step::Claim(next, decision.skipped)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowcore::ProjectId;
    use flowstore::Record;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::schedules::schedule::of_workflow;
    use crate::schedules::state::Outcome;
    use crate::workflows;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-01T{text}Z").parse().unwrap()
    }

    /// The schedule of a workflow that is saved at half past five.
    fn schedule(version: u64, trigger: Json, durability: &str) -> Schedule {
        let workflow = json!({
            "nodes": [{"id": "a", "node_type": "debug.log"}],
            "triggers": [trigger],
            "settings": {"durability": durability},
        });
        let record = Record {
            key: workflows::key(&ProjectId::default(), "w"),
            version,
            at: at("05:30:00"),
            change: version,
            body: Some(Arc::from(workflow.to_string().into_bytes())),
        };
        of_workflow(&record).remove(0)
    }

    fn hourly(version: u64) -> Schedule {
        schedule(version, json!({"type": "cron", "expression": "0 * * * *"}), "sync")
    }

    fn step(schedule: &Schedule, state: Option<&State>, now: &str) -> Step {
        next_step(Some(schedule), state, at(now), Uuid::nil())
    }

    #[track_caller]
    fn kept(step: Step) -> State {
        match step {
            Step::Keep(Some(state)) => state,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn claimed(step: Step) -> State {
        match step {
            Step::Claim(state, _) => state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_schedule_counts_from_when_it_was_saved() {
        let schedule = hourly(1);
        let state = kept(step(&schedule, None, "09:10:00"));
        assert_eq!((state.after, state.is_enabled), (at("05:30:00"), true));
        let early = step(&schedule, Some(&state), "05:59:59.9");
        assert_eq!(early, Step::Wait(Some(at("06:00:00"))));
        let state = claimed(step(&schedule, Some(&state), "06:00:00.1"));
        let claim = state.claim.as_ref().unwrap();
        assert_eq!((claim.due.clone(), state.after), (vec![at("06:00:00")], at("06:00:00")));
    }

    #[test]
    fn a_claim_is_taken_over_after_a_while() {
        let schedule = hourly(1);
        let state = kept(step(&schedule, None, "05:30:00"));
        let state = claimed(step(&schedule, Some(&state), "06:00:00"));
        let wait = Step::Wait(Some(at("06:00:30")));
        // Also for one whose clock is behind.
        for now in ["06:00:00", "06:00:29.9", "05:59:55"] {
            assert_eq!(step(&schedule, Some(&state), now), wait, "{now}");
        }
        for now in ["06:00:30", "07:30:00", "05:00:00"] {
            let again = claimed(step(&schedule, Some(&state), now));
            let claim = again.claim.unwrap();
            assert_eq!((claim.at, claim.due), (at(now), vec![at("06:00:00")]), "{now}");
        }
    }

    #[test]
    fn what_may_have_been_started_and_left_no_trace_is_not_started_again() {
        let trigger = json!({"type": "cron", "expression": "0 * * * *"});
        let untraced = schedule(1, trigger, "none");
        let state = kept(step(&untraced, None, "05:30:00"));
        let state = claimed(step(&untraced, Some(&state), "06:00:00"));
        let state = kept(step(&untraced, Some(&state), "06:00:30"));
        assert_eq!((&state.claim, state.runs[0].outcome), (&None, Outcome::Skipped));
        // As one whose key the store may have forgotten.
        let kept_ones = hourly(1);
        let state = kept(step(&kept_ones, None, "05:30:00"));
        let state = claimed(step(&kept_ones, Some(&state), "06:00:00"));
        let later = at("06:00:00").after(KEY_LIFE / 2);
        let state = kept(next_step(Some(&kept_ones), Some(&state), later, Uuid::nil()));
        assert_eq!((&state.claim, state.runs[0].outcome), (&None, Outcome::Skipped));
    }

    #[test]
    fn an_edit_counts_anew_and_another_change_of_the_workflow_does_not() {
        let state = kept(step(&hourly(1), None, "05:30:00"));
        let state = claimed(step(&hourly(1), Some(&state), "06:00:00"));
        let mut same = hourly(2);
        same.saved_at = at("06:00:10");
        assert!(matches!(step(&same, Some(&state), "06:00:20"), Step::Wait(_)));
        let trigger = json!({"type": "cron", "expression": "30 * * * *"});
        let mut other = schedule(2, trigger, "sync");
        other.saved_at = at("06:00:10");
        let state = kept(step(&other, Some(&state), "07:40:00"));
        assert_eq!((state.after, &state.claim), (at("06:00:10"), &None));
        assert_eq!(
            (state.runs[0].due_at, state.runs[0].outcome),
            (at("06:00:00"), Outcome::Skipped)
        );
        let state = claimed(step(&other, Some(&state), "07:40:00"));
        assert_eq!(state.claim.unwrap().due, [at("07:30:00")]);
    }

    #[test]
    fn what_is_disabled_rests_and_counts_anew_when_it_is_enabled() {
        let file = |is_enabled: bool, saved_at: &str| {
            let trigger = json!({"type": "cron", "expression": "0 * * * *", "enabled": is_enabled});
            Schedule { saved_at: at(saved_at), ..schedule(1, trigger, "sync") }
        };
        let state = kept(step(&file(false, "01:00:00"), None, "05:00:00"));
        assert_eq!(step(&file(false, "01:00:00"), Some(&state), "05:00:00"), Step::Wait(None));
        let state = kept(step(&file(true, "05:30:00"), Some(&state), "07:00:00"));
        assert_eq!(state.after, at("05:30:00"));
        // Whatever the file says, what an operator said holds.
        let mut state = state;
        state.ask(false, at("07:00:00"));
        assert_eq!(step(&file(true, "07:10:00"), Some(&state), "09:00:00"), Step::Wait(None));
        state.ask(true, at("09:30:00"));
        assert_eq!(state.after, at("09:30:00"));
        let off = file(false, "09:40:00");
        assert_eq!(step(&off, Some(&state), "09:45:00"), Step::Wait(Some(at("10:00:00"))));
    }

    #[test]
    fn nothing_is_kept_of_a_trigger_that_is_gone() {
        let state = kept(step(&hourly(1), None, "05:30:00"));
        let now = at("06:00:00");
        assert_eq!(next_step(None, Some(&state), now, Uuid::nil()), Step::Keep(None));
        assert_eq!(next_step(None, None, now, Uuid::nil()), Step::Wait(None));
    }

    #[test]
    fn only_so_many_runs_are_kept() {
        let trigger = json!({"type": "cron", "expression": "0 * * * *", "missed": "skip"});
        let schedule = schedule(1, trigger, "sync");
        let mut state = kept(step(&schedule, None, "05:30:00"));
        for hour in 0..300_u32 {
            let now = at("06:30:00").after(Duration::from_secs(3600) * hour);
            state = claimed(next_step(Some(&schedule), Some(&state), now, Uuid::nil()));
            assert_eq!(state.claim, None);
        }
        assert_eq!(state.runs.len(), crate::schedules::state::MOST_RUNS);
        assert!(state.runs.iter().is_sorted_by(|a, b| a.due_at > b.due_at));
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}
