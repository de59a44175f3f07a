//! P1 and P2, with durability: the random workflows of the machine's tests, kept in stores. Every
//! attempt is given what the reference says, the end is the same at the same moment, what is kept
//! folds to it, and the row says so.

use std::sync::Arc;
use std::time::Duration;

use flowruntime::store::{MemoryStore, Store};

use crate::agrees::{check_agreement, house};
use crate::cast::Pace;
use crate::fit::{for_agreement_within, for_storm};
use crate::flavours::{on_current_thread, on_multi_thread, paused};
use crate::places::Place;
use crate::runner::run_part;
use crate::script::Case;
use crate::still::Still;
use crate::theatre::{House, play_on};
use flowruntime::testing::crash::Twisted;

/// Fewer cases than without a store: each is written to a file of its own.
const CASES: u32 = 120;

/// A store is looked at every second, also of time that is paused: so times are shorter than without
/// one, and still so long that hardly two sums of some of them are equal.
const MOST_MILLIS: u64 = 3_000_000;

fn check_in_memory(case: &Case) {
    let case = for_agreement_within(case, MOST_MILLIS);
    let store = Arc::new(MemoryStore::new());
    check_agreement(&case, &paused(play_on(&case, &house(), Some(store))));
}

fn check_in_a_file(case: &Case) {
    let (mut case, place) = (for_agreement_within(case, MOST_MILLIS), Place::sqlite());
    // Of attempts that start at the same moment, one may begin before the disk has answered for the
    // next: whether one had begun when it was cancelled makes no difference if it stops then.
    for plan in case.nodes.iter_mut().flat_map(|node| &mut node.plans) {
        plan.stops_after = Some(0);
    }
    let file = on_current_thread(place.open());
    let store: Arc<dyn Store> = Arc::new(Twisted::new(file, Still));
    check_agreement(&case, &paused(play_on(&case, &house(), Some(store))));
}

/// Everything at once, as in the storm without a store.
fn check_on_two_threads(case: &Case) {
    let (case, place) = (for_storm(case), Place::sqlite());
    let store = on_current_thread(place.open());
    let house = House {
        pace: Pace::Turns,
        max_running_nodes: 1 + (case.seed % 4) as usize,
        grace: Duration::from_millis(case.seed % 3 * 2),
        rates: Vec::new(),
    };
    on_multi_thread(play_on(&case, &house, Some(store)));
}

#[test]
fn what_is_kept_in_memory_ends_as_the_reference_says_part_0() {
    run_part(0, CASES, check_in_memory);
}

#[test]
fn what_is_kept_in_memory_ends_as_the_reference_says_part_1() {
    run_part(1, CASES, check_in_memory);
}

#[test]
fn what_is_kept_in_a_file_ends_as_the_reference_says_part_2() {
    run_part(2, CASES, check_in_a_file);
}

#[test]
fn what_is_kept_in_a_file_ends_as_the_reference_says_part_3() {
    run_part(3, CASES, check_in_a_file);
}

#[test]
fn what_is_kept_in_a_file_is_what_happened_on_two_threads() {
    run_part(0, CASES, check_on_two_threads);
}
