//! Everything at once: things that happen at the same moment, too few permits, and hardly any grace.
//! Order respects connections, limits are never exceeded, there is one end, and nothing goes on
//! after it; on both tokio flavours.

use std::time::Duration;

use crate::CASES;
use crate::cast::Pace;
use crate::fit::for_storm;
use crate::flavours::{on_multi_thread, paused};
use crate::runner::run_part;
use crate::script::Case;
use crate::theatre::{House, play};

fn house(case: &Case, pace: Pace) -> House {
    House {
        pace,
        max_running_nodes: 1 + (case.seed % 4) as usize,
        grace: Duration::from_millis(case.seed % 3 * 2),
        rates: Vec::new(),
    }
}

fn check_with_paused_time(case: &Case) {
    let case = for_storm(case);
    paused(play(&case, &house(&case, Pace::Clock)));
}

fn check_on_two_threads(case: &Case) {
    let case = for_storm(case);
    on_multi_thread(play(&case, &house(&case, Pace::Turns)));
}

#[test]
fn with_paused_time_part_0() {
    run_part(0, CASES, check_with_paused_time);
}

#[test]
fn with_paused_time_part_1() {
    run_part(1, CASES, check_with_paused_time);
}

#[test]
fn with_paused_time_part_2() {
    run_part(2, CASES, check_with_paused_time);
}

#[test]
fn with_paused_time_part_3() {
    run_part(3, CASES, check_with_paused_time);
}

#[test]
fn on_two_threads_part_0() {
    run_part(0, CASES, check_on_two_threads);
}

#[test]
fn on_two_threads_part_1() {
    run_part(1, CASES, check_on_two_threads);
}
