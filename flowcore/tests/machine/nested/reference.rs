//! The naive interpreter: what happens to a node follows from when it starts and when it is told to
//! stop, and nothing else. So it is a function of those, and there is no state.
//!
//! Nothing happens at the same moment as something else, except that what follows from it: so
//! whatever happens at the very moment of a `cut` is what brought it about.

use serde_json::{Value as Json, json};

use super::tree::{Body, Case, Kind, Node, Policy};

/// How something ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum How {
    Well(Json),
    /// The code, and the address of the node that failed.
    Badly(String, String),
    Cancelled,
}

/// When something ended, and how.
type End = (i64, How);

/// Never.
const NEVER: i64 = i64::MAX;

/// How the execution ends.
pub(super) fn interpret(case: &Case) -> End {
    Reference(case).body(&case.body, "", 0, case.cancel.unwrap_or(NEVER), &[])
}

/// When the execution begins to end because of a failure, if nobody cancels it.
pub(super) fn failure(case: &Case) -> i64 {
    let case = &Case { cancel: None, ..case.clone() };
    let reference = Reference(case);
    reference.first_failure(&case.body, "", 0, NEVER)
}

struct Reference<'a>(&'a Case);

impl Reference<'_> {
    /// The nodes of a body, from a start, told to stop at `cut`: each one's end.
    fn nodes(&self, body: &Body, prefix: &str, start: i64, cut: i64) -> Vec<Option<End>> {
        let mut from = Some(start);
        let run = |node: &Node| {
            let end =
                from.filter(|from| *from < cut).map(|from| self.node(node, prefix, from, cut));
            if body.is_chain {
                // A chain goes on only from what went well.
                from = end.as_ref().filter(|(_, how)| matches!(how, How::Well(_))).map(|end| end.0);
            }
            end
        };
        body.nodes.iter().map(run).collect()
    }

    /// When the first node of a body fails before it is told to stop.
    fn first_failure(&self, body: &Body, prefix: &str, start: i64, cut: i64) -> i64 {
        let ends = self.nodes(body, prefix, start, cut).into_iter().flatten();
        let failed = ends.filter(|(_, how)| matches!(how, How::Badly(..))).map(|(at, _)| at);
        failed.filter(|at| *at <= cut).min().unwrap_or(NEVER)
    }

    fn body(&self, body: &Body, prefix: &str, start: i64, cut: i64, names: &[Json]) -> End {
        let failed = self.first_failure(body, prefix, start, cut);
        let ends = self.nodes(body, prefix, start, cut.min(failed));
        let last = ends.iter().flatten().map(|(at, _)| *at).max().unwrap_or(start);
        if failed <= cut && failed < NEVER {
            let at = |(_, how): &&End| matches!(how, How::Badly(..));
            let first = ends.iter().flatten().filter(at).find(|(at, _)| *at == failed);
            return (last, first.expect("it failed").1.clone());
        }
        let values = ends.iter().map(|end| match end {
            Some((_, How::Well(value))) => Some(value.clone()),
            Some((_, How::Badly(..) | How::Cancelled)) | None => None,
        });
        match values.collect::<Option<Vec<Json>>>() {
            Some(values) if last <= cut => {
                (last, How::Well(names.iter().cloned().chain(values).collect()))
            }
            _ => (last.max(cut), How::Cancelled),
        }
    }

    fn node(&self, node: &Node, prefix: &str, start: i64, cut: i64) -> End {
        let address = format!("{prefix}{}", node.id);
        match &node.kind {
            Kind::Leaf { .. } => {
                let plan = self.0.plan(&address);
                let end = start + plan.duration;
                match plan.stops_after.map(|after| cut.saturating_add(after)) {
                    Some(stopped) if stopped < end => (stopped, How::Cancelled),
                    _ if plan.succeeds => (end, How::Well(json!(address))),
                    _ => (end, How::Badly("script.failed".to_owned(), address)),
                }
            }
            Kind::Delay { millis } if start + millis * 1000 <= cut => {
                (start + millis * 1000, How::Well(json!(millis)))
            }
            Kind::Delay { .. } => (cut, How::Cancelled),
            Kind::Each { limit_ms, .. } => {
                let limit = limit_ms.map_or(NEVER, |limit| start + limit * 1000);
                self.each(node, &address, start, cut, limit)
            }
            Kind::Loop { times, body } => {
                let (mut now, mut state) = (start, json!([]));
                for index in 0..*times {
                    let length = state.as_array().map_or(0, Vec::len);
                    let names = [json!(index), json!(length)];
                    match self.body(body, &format!("{address}[{index}]."), now, cut, &names) {
                        (at, How::Well(value)) => (now, state) = (at, value),
                        ended => return ended,
                    }
                }
                (now, How::Well(state))
            }
            Kind::Race { branches } => self.race(branches, &address, start, cut),
            Kind::Call { body } => self.body(body, &format!("{address}."), start, cut, &[]),
            Kind::Try { body, catch, finally } => {
                let (mut now, mut how) =
                    self.body(body, &format!("{address}.body."), start, cut, &[]);
                if let (How::Badly(_, failed), Some(catch)) = (&how, catch)
                    && now <= cut
                {
                    let names = [json!(failed)];
                    (now, how) = self.body(catch, &format!("{address}.catch."), now, cut, &names);
                }
                if let Some(finally) = finally {
                    let prefix = format!("{address}.finally.");
                    let (at, end) = self.body(finally, &prefix, now, NEVER, &[]);
                    now = at;
                    how = if matches!(end, How::Badly(..)) { end } else { how };
                }
                (now, if now <= cut { how } else { How::Cancelled })
            }
        }
    }

    fn race(&self, branches: &[Body], address: &str, start: i64, cut: i64) -> End {
        let run = |cut: i64| -> Vec<End> {
            let prefixes = (0..).map(|index: u32| format!("{address}[{index}]."));
            let branches = branches.iter().zip(prefixes);
            branches.map(|(body, prefix)| self.body(body, &prefix, start, cut, &[])).collect()
        };
        let ends = run(cut);
        let winner =
            ends.iter().filter(|(_, how)| matches!(how, How::Well(_))).min_by_key(|end| end.0);
        let ends = winner.map_or_else(
            || ends.clone(),
            |(won, _)| {
                // The others are told to stop at that moment; the winner has ended.
                let cut = run(*won);
                ends.iter()
                    .zip(cut)
                    .map(|(end, cut)| if end.0 <= *won { end.clone() } else { cut })
                    .collect()
            },
        );
        let last = ends.iter().map(|(at, _)| *at).max().unwrap_or(start);
        match winner {
            _ if last > cut => (last, How::Cancelled),
            None if ends.iter().any(|(_, how)| *how == How::Cancelled) => (last, How::Cancelled),
            Some((_, how)) => (last, how.clone()),
            None => (last, How::Badly("race.all_failed".to_owned(), address.to_owned())),
        }
    }

    /// Items, so many at once, each as soon as another has ended.
    fn each(&self, node: &Node, address: &str, start: i64, cut: i64, limit: i64) -> End {
        let told = cut.min(limit);
        let Kind::Each { items, at_once, policy, body, .. } = &node.kind else { unreachable!() };
        let run = |cut: i64| -> Vec<Option<End>> {
            let mut free = vec![start; *at_once as usize];
            let mut ends = Vec::new();
            for index in 0..*items {
                let slot = (0..free.len()).min_by_key(|slot| free[*slot]).expect("at least one");
                let names = [json!(format!("item {index}")), json!(index)];
                let prefix = format!("{address}[{index}].");
                let end =
                    (free[slot] < cut).then(|| self.body(body, &prefix, free[slot], cut, &names));
                free[slot] = end.as_ref().map_or(NEVER, |end| end.0);
                ends.push(end);
            }
            ends
        };
        let mut ends = run(told);
        let mut failure = None;
        if *policy == Policy::Fail {
            let failed = |end: &&End| matches!(end.1, How::Badly(..)) && end.0 <= told;
            failure = ends.iter().flatten().filter(failed).min_by_key(|end| end.0).cloned();
        }
        if let Some((at, _)) = &failure {
            let told = run(*at);
            ends = ends
                .into_iter()
                .zip(told)
                .map(|(end, told)| match end {
                    Some(end) if end.0 <= *at => Some(end),
                    _ => told,
                })
                .collect();
        }
        let last = ends.iter().flatten().map(|(at, _)| *at).max().unwrap_or(start);
        let was_told =
            |end: &Option<End>| end.as_ref().is_none_or(|(_, how)| *how == How::Cancelled);
        if last > cut {
            return (last, How::Cancelled);
        }
        if let Some((_, how)) = failure {
            return (last, how);
        }
        if last > told || ends.iter().any(was_told) {
            // What takes too long has failed, whatever it was about to be.
            let how = match limit <= cut {
                true => How::Badly("node.timed_out".to_owned(), address.to_owned()),
                false => How::Cancelled,
            };
            return (last.max(told), how);
        }
        let results = ends.into_iter().flatten().filter_map(|(_, how)| match (how, policy) {
            (How::Well(value), _) => Some(value),
            (_, Policy::Skip) => None,
            (_, Policy::Fail | Policy::Collect) => Some(Json::Null),
        });
        (last, How::Well(results.collect()))
    }
}
