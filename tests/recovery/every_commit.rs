//! A crash at every write of every workload, in every way.

use flowruntime::History;
use flowruntime::testing::crash::{Fault, Finding};

use crate::site::{Site, Writes};
use crate::workloads::{self, Workload};

/// The first three end the process.
const FAULTS: [Fault; 5] =
    [Fault::DieBefore, Fault::FailAndDie, Fault::DieAfter, Fault::FailBefore, Fault::FailAfter];

/// The workload without a crash, and how many writes it takes.
pub(crate) fn undisturbed(workload: &Workload, writes: Writes) -> (History, usize) {
    let site = Site::new(workload, &|store| store);
    let (count, _) = site.run(writes, Fault::DieBefore, usize::MAX);
    let mut histories = site.histories().unwrap();
    assert_eq!(histories.len(), 1, "{}", workload.name);
    let history = histories.remove(0);
    assert!(history.row.status.is_terminal(), "{}: {}", workload.name, history.row.status);
    assert!(count > 1, "{}", workload.name);
    (history, count)
}

/// Says what was found, with the events that it was found in.
#[track_caller]
fn expect_sound(site: &Site<'_>, checked: Result<(), Finding>, what: impl std::fmt::Debug) {
    let Err(finding) = checked else { return };
    let events: Vec<_> =
        site.histories().into_iter().flatten().flat_map(|history| history.events).collect();
    let events = serde_json::to_string_pretty(&events).unwrap();
    panic!("{}, {what:?}: {finding:#?}\n{events}", site.workload.name);
}

/// Crashes every fourth workload, from `part` on. Gives how often it did.
fn crash_all(part: usize) -> usize {
    let mut crashes = 0;
    for workload in workloads::all().iter().skip(part).step_by(4) {
        for writes in [Writes::Together, Writes::Split] {
            let (expected, count) = undisturbed(workload, writes);
            // Those after a crash, or a second try, may be more.
            let cases = FAULTS.iter().flat_map(|fault| (1..=count + 1).map(move |at| (*fault, at)));
            for (fault, at) in cases {
                let site = Site::new(workload, &|store| store);
                let checked = site.crash(writes, fault, at, &expected);
                expect_sound(&site, checked, (writes, fault, at));
                crashes += 1;
            }
        }
        let (expected, count) = undisturbed(workload, Writes::Split);
        let deaths = FAULTS.iter().take(3);
        for (fault, at) in deaths.flat_map(|fault| (1..=count).map(move |at| (*fault, at))) {
            let site = Site::new(workload, &|store| store);
            let checked = site.crash_twice(fault, at, &expected);
            expect_sound(&site, checked, ("twice", fault, at));
            crashes += 1;
        }
    }
    crashes
}

/// Each part crashes its share of more than 3,600.
#[track_caller]
#[expect(clippy::print_stdout, reason = "how many there were is said once")]
fn crash_share(part: usize) {
    let crashes = crash_all(part);
    println!("{crashes} crashes");
    assert!(crashes >= 800, "only {crashes} crashes");
}

#[test]
fn nothing_is_lost_or_done_twice_part_0() {
    crash_share(0);
}

#[test]
fn nothing_is_lost_or_done_twice_part_1() {
    crash_share(1);
}

#[test]
fn nothing_is_lost_or_done_twice_part_2() {
    crash_share(2);
}

#[test]
fn nothing_is_lost_or_done_twice_part_3() {
    crash_share(3);
}
