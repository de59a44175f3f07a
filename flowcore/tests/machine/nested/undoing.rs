//! What is undone, and what is not: the reference of that part of the end.

use super::reference::How;
use super::tree::{Case, Plan};

/// A node with an `undo`, and whether it succeeded; else its attempt was cut off.
pub(super) type Entry = (String, bool);

/// What undoing came to.
pub(super) struct Undone {
    /// When everything was over.
    pub(super) at: i64,
    /// The nodes whose undo began, in order.
    pub(super) begun: Vec<String>,
    /// What was not undone, and why.
    pub(super) left: Vec<(String, String)>,
    pub(super) seen: Vec<&'static str>,
}

/// Undoes what stands in a ledger, from its end, after an execution that ended at `at`.
pub(super) fn undo(case: &Case, at: i64, how: &How, ledger: &[Entry]) -> Undone {
    let mut undone = Undone { at, begun: Vec::new(), left: Vec::new(), seen: Vec::new() };
    if matches!(how, How::Well(_)) {
        return undone;
    }
    let stop = case.again.map_or(i64::MAX, |again| at + again);
    let mut is_stopped = false;
    for (address, succeeded) in ledger.iter().rev() {
        let mut leave = |code: &str| undone.left.push((address.clone(), code.to_owned()));
        if !succeeded {
            leave("undo.outcome_unknown");
            undone.seen.push("nobody knows");
            continue;
        }
        if is_stopped {
            leave("undo.aborted");
            undone.seen.push("undoing stopped");
            continue;
        }
        undone.begun.push(address.clone());
        let Plan { duration, succeeds, stops_after } = case.plan(&format!("{address}~undo"));
        let end = undone.at + duration;
        is_stopped = stop <= end;
        let cut = stops_after.map(|after| stop.saturating_add(after)).filter(|cut| *cut < end);
        undone.at = cut.unwrap_or(end);
        if cut.is_some() {
            leave("undo.aborted");
        } else if !succeeds {
            leave("script.failed");
            undone.seen.push("not undone");
        }
    }
    if undone.begun.len() > 1 {
        undone.seen.push("undone in reverse");
    }
    undone
}
