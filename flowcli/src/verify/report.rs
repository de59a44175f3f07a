//! What a verification came to: for people, and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use flowcore::{Effect, ExecutionStatus, NodeIndex};
use serde::Serialize;

use super::campaign::Verdict;
use super::finding::Way;
use super::{Finding, Recording, Twice};
use crate::duration;
use crate::report::human::{BOLD, DIM, clean, count, grouped, help, paint};
use crate::report::table::table;

const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default().bold();
const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// How many differences of one finding are listed; a program gets all.
const MOST_DIFFERENCES: usize = 5;

/// How many nodes of each kind are listed.
const MOST_NODES: usize = 12;

/// All that is known in the end.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) file: String,
    /// Whether nothing was found.
    pub(crate) sound: bool,
    pub(crate) run: Run,
    pub(crate) nodes: Vec<Node>,
    pub(crate) crashes: Crashes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) twice: Option<Twice>,
    pub(crate) findings: Vec<Finding>,
    #[serde(skip)]
    took: Duration,
}

/// The run that was recorded.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    status: ExecutionStatus,
    /// The code of its error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    nodes: usize,
    attempts: usize,
    events: usize,
    /// The test file and the case that it comes from; none if it was really made.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry: Option<Dry>,
}

/// Where the outcomes come from.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Dry {
    pub(crate) file: String,
    pub(crate) case: String,
}

/// A node that had attempts, wherever it stands.
#[derive(Debug, Serialize)]
pub(crate) struct Node {
    node: String,
    node_type: String,
    effect: Effect,
    /// How many attempts it had in the recorded run.
    attempts: usize,
    /// Whether it answers from the recording in crash runs; otherwise it runs again, and is compared.
    recorded: bool,
}

/// The crashes.
#[derive(Debug, Serialize)]
pub(crate) struct Crashes {
    /// How many.
    count: usize,
    /// At how many writes.
    points: usize,
    /// How many writes there are.
    writes: usize,
    ways: [Way; 3],
    /// How many attempts answered from the recording.
    answered: usize,
    /// How many attempts of `pure` nodes ran again.
    ran: usize,
    /// In how many crashes a node was cut off that may not start twice.
    outcome_unknown: BTreeMap<String, usize>,
}

impl Report {
    pub(crate) fn new(
        file: &str,
        recording: &Recording,
        dry: Option<Dry>,
        twice: Option<Twice>,
        verdict: Verdict,
        took: Duration,
    ) -> Self {
        let result = &recording.history.result;
        let mut nodes: Vec<(NodeIndex, Node)> = Vec::new();
        for (key, recorded) in recording.attempts() {
            let known = nodes.iter_mut().find(|(index, _)| *index == recorded.node);
            match known {
                Some((_, node)) => node.attempts += 1,
                None => nodes.push((recorded.node, Node::new(recording, recorded.node, key))),
            }
        }
        let nodes: Vec<Node> = nodes.into_iter().map(|(_, node)| node).collect();
        let mut findings = verdict.findings;
        findings.extend(twice.iter().filter_map(|twice| twice.finding.clone()));
        let run = Run {
            status: result.status,
            error: result.error.as_ref().map(|error| error.code.clone()),
            nodes: nodes.len(),
            attempts: nodes.iter().map(|node| node.attempts).sum(),
            events: recording.history.events.len(),
            dry,
        };
        let crashes = Crashes {
            count: verdict.crashes,
            points: verdict.points,
            writes: verdict.writes,
            ways: Way::ALL,
            answered: verdict.answered,
            ran: verdict.ran,
            outcome_unknown: verdict.unknown,
        };
        let sound = findings.is_empty();
        Self { file: file.to_owned(), sound, run, nodes, crashes, twice, findings, took }
    }

    /// For people.
    pub(crate) fn text(&self, width: usize) -> String {
        let mut lines = vec![self.head()];
        let (recorded, pure): (Vec<&Node>, Vec<&Node>) =
            self.nodes.iter().partition(|node| node.recorded);
        let given = match &self.run.dry {
            Some(dry) => format!(
                "pinned by case `{}` of {}, so that nothing real ran:",
                clean(&dry.case),
                clean(&dry.file)
            ),
            None => "really ran once, and then answered from the recording:".to_owned(),
        };
        list(&mut lines, &given, &recorded, width);
        let again = "`pure`, so really ran again in every crash, and compared:";
        list(&mut lines, again, &pure, width);
        lines.push(String::new());
        if self.crashes.count > 0 {
            lines.push(self.crashes_line());
        }
        for (node, times) in &self.crashes.outcome_unknown {
            lines.push(format!(
                "{} is `once`: cut off in {}, it ended as `node.outcome_unknown` and was not started \
                 again, as it should be",
                paint(BOLD, &clean(node)),
                crashes(*times),
            ));
        }
        lines.extend(self.twice.iter().flat_map(twice_lines));
        for finding in &self.findings {
            lines.push(String::new());
            lines.extend(finding_lines(finding));
        }
        lines.push(String::new());
        lines.push(self.last());
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn head(&self) -> String {
        let run = &self.run;
        let how = match &run.error {
            Some(code) => format!("{} with `{code}`", status(run.status)),
            None => status(run.status).to_owned(),
        };
        format!(
            "{}: {} ran, {}, {}, {how}",
            paint(BOLD, &clean(&self.file)),
            count(run.nodes, "node"),
            count(run.attempts, "attempt"),
            count(run.events, "event"),
        )
    }

    fn crashes_line(&self) -> String {
        let crashes = &self.crashes;
        let at = match crashes.points == crashes.writes {
            true => format!("at each of {} writes", grouped(crashes.writes)),
            false => format!(
                "at {} of {} writes, spread evenly",
                grouped(crashes.points),
                grouped(crashes.writes)
            ),
        };
        format!(
            "{} crashes {at}: the write is lost, is kept but told as failed, or is kept",
            grouped(crashes.count)
        )
    }

    fn last(&self) -> String {
        let crashes = crashes(self.crashes.count);
        let took = paint(DIM, &format!("({})", duration::show(self.took)));
        if self.sound {
            let good = paint(GOOD, &format!("✓ {crashes}, 0 findings:"));
            let but = match self.crashes.outcome_unknown.is_empty() {
                true => "",
                false => " wherever no `once` node was cut off",
            };
            return format!(
                "{good} it ended once, with the same result{but}, and nothing that was finished ran \
                 again {took}"
            );
        }
        let found = count(self.findings.len(), "finding");
        format!("{} {took}", paint(BAD, &format!("✗ {crashes}, {found}")))
    }
}

impl Node {
    /// The node of this key, of which other keys may be, too.
    fn new(recording: &Recording, node: NodeIndex, key: &str) -> Self {
        let plan = &recording.history.plan;
        let effect = recording.effect(node);
        let addresses = plan.addresses();
        let address = addresses.iter().find(|(index, _)| *index == node);
        let own = || Recording::address(key).to_owned();
        Self {
            // Those that undo something stand nowhere else.
            node: address.map_or_else(own, |(_, address)| address.clone()),
            node_type: plan.spec(node).node_type.to_string(),
            effect,
            attempts: 1,
            recorded: effect != Effect::Pure || recording.is_pinned(key),
        }
    }
}

fn status(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Succeeded => "succeeded",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::Cancelled => "cancelled",
        ExecutionStatus::TimedOut => "timed out",
        ExecutionStatus::Queued
        | ExecutionStatus::Running
        | ExecutionStatus::Waiting
        | ExecutionStatus::Paused => "not ended",
    }
}

fn crashes(number: usize) -> String {
    format!("{} crash{}", grouped(number), if number == 1 { "" } else { "es" })
}

fn list(lines: &mut Vec<String>, title: &str, nodes: &[&Node], width: usize) {
    if nodes.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(title.to_owned());
    let row = |node: &&Node| {
        let times = match node.attempts {
            1 => String::new(),
            more => format!(", {more} attempts"),
        };
        let what = format!("{}{times}", word(node.effect));
        [format!("  {}", clean(&node.node)), clean(&node.node_type), what]
    };
    let rows: Vec<[String; 3]> = nodes.iter().take(MOST_NODES).map(row).collect();
    lines.extend(table(&rows, width));
    if let Some(more) = nodes.len().checked_sub(MOST_NODES).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more"));
    }
}

pub(crate) fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "pure",
        Effect::Read => "read",
        Effect::Idempotent => "idempotent",
        Effect::Once => "once",
    }
}

fn twice_lines(twice: &Twice) -> Vec<String> {
    let node = paint(BOLD, &clean(&twice.node));
    let times = match twice.attempts {
        1 => String::new(),
        more => format!(" ({})", count(more, "attempt")),
    };
    if twice.finding.is_some() {
        return Vec::new();
    }
    let what = match twice.differences.is_empty() {
        true => "it gave the same",
        false => "what follows went on with the same, though it gave something else at",
    };
    let mut lines = vec![format!("{node} really ran twice with one key{times}: {what}")];
    let differences = twice.differences.iter().take(MOST_DIFFERENCES);
    lines.extend(differences.map(|one| format!("    {}: {}", clean(&one.at), clean(&one.message))));
    lines
}

fn finding_lines(finding: &Finding) -> Vec<String> {
    let node = finding.node.as_deref().map(|node| format!("{} ", paint(BOLD, &clean(node))));
    let code = paint(DIM, &format!("[{}]", finding.code));
    let mark = paint(BAD, "✗");
    let message = clean(&finding.message);
    let mut lines = vec![format!("{mark} {}{message} {code}", node.unwrap_or_default())];
    for one in finding.differences.iter().take(MOST_DIFFERENCES) {
        lines.push(format!("    {}: {}", clean(&one.at), clean(&one.message)));
    }
    if let Some(more) = finding.differences.len().checked_sub(MOST_DIFFERENCES).filter(|n| *n > 0) {
        lines.push(format!("    and {more} more"));
    }
    if let Some(crash) = &finding.crash {
        let first = clean(&crash.to_string());
        lines.push(format!("    in {}, first {first}", crashes(finding.crashes)));
    }
    lines.push(help(finding.hint));
    lines
}
