//! A crash at every write of every workload, in every way.

use flowruntime::History;

use crate::faulty_store::Fault;
use crate::site::Site;
use crate::workloads::{self, Workload};

const FAULTS: [Fault; 5] =
    [Fault::DieBefore, Fault::FailAndDie, Fault::DieAfter, Fault::FailBefore, Fault::FailAfter];

/// The workload without a crash, and how many writes it takes.
pub(crate) fn undisturbed(workload: &Workload) -> (History, usize) {
    let site = Site::new(workload, &|store| store);
    let (writes, _) = site.run(Fault::DieBefore, usize::MAX);
    let mut histories = site.histories().unwrap();
    assert_eq!(histories.len(), 1, "{}", workload.name);
    let history = histories.remove(0);
    assert!(history.row.status.is_terminal(), "{}: {}", workload.name, history.row.status);
    (history, writes)
}

/// Crashes every `parts`-th workload, from `part` on. Gives how often it did.
fn crash_all(part: usize, parts: usize) -> usize {
    let mut crashes = 0;
    for workload in workloads::all().iter().skip(part).step_by(parts) {
        let (expected, writes) = undisturbed(workload);
        assert!(writes > 1, "{}", workload.name);
        for fault in FAULTS {
            // Those after a crash, or a second try, may be more.
            for at in 1..=writes + 1 {
                let site = Site::new(workload, &|store| store);
                if let Err(finding) = site.crash(fault, at, &expected) {
                    let events = serde_json::to_string_pretty(
                        &site
                            .histories()
                            .map(|all| all.into_iter().map(|h| h.events).collect::<Vec<_>>())
                            .unwrap_or_default(),
                    );
                    panic!(
                        "{}, {fault:?} at write {at} of {writes}: {finding:#?}\n{}",
                        workload.name,
                        events.unwrap()
                    );
                }
                crashes += 1;
            }
        }
    }
    crashes
}

#[test]
fn nothing_is_lost_or_done_twice_part_0() {
    let crashes = crash_all(0, 2);
    assert!(crashes > 1_800, "{crashes}");
}

#[test]
fn nothing_is_lost_or_done_twice_part_1() {
    let crashes = crash_all(1, 2);
    assert!(crashes > 1_800, "{crashes}");
}
