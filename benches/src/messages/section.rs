//! The table of messages.

use std::time::Duration;

use serde_json::json;

use super::{drive, flow};
use crate::options::Options;
use crate::report::Report;
use crate::targets;

/// What one run gave.
#[derive(Clone, Copy)]
pub struct Measured {
    /// From the first message to the end of the last.
    pub total: Duration,
    /// Half of the messages took less.
    pub p50: Duration,
    /// 99 of 100 messages took less.
    pub p99: Duration,
}

/// An engine, loaded, and what its runs gave.
struct Row {
    name: &'static str,
    run: Box<dyn Fn(usize) -> Measured>,
    measured: Vec<Measured>,
}

impl Row {
    fn new(name: &'static str, run: impl Fn(usize) -> Measured + 'static) -> Self {
        Self { name, run: Box::new(run), measured: Vec::new() }
    }

    fn median(&self) -> Measured {
        self.measured[self.measured.len() / 2]
    }
}

/// What Flow is compared with.
const ANCHOR: &str = "dataflow-rs 4.0.3, no changes captured";

/// Races messages through the same rules, in turns.
pub fn run(options: &Options, report: &mut Report) {
    let count = count(options);
    let mut rows = rows();
    for round in 0..=options.runs {
        for row in &mut rows {
            let measured = (row.run)(count);
            // The first round warms up.
            if round > 0 {
                row.measured.push(measured);
            }
        }
    }
    rows.iter_mut().for_each(|row| row.measured.sort_unstable_by_key(|measured| measured.total));
    let anchor = rows.iter().find(|row| row.name == ANCHOR).map(|row| row.median().total);
    let at_once = drive::AT_ONCE;
    report.table(
        &format!("messages: {count} through 10 tasks, {at_once} at once, 2 workers"),
        &["engine", "messages/s", "latency p50", "p99", "ratio", "target", ""],
    );
    for row in &rows {
        line(report, row, count, anchor);
    }
}

fn line(report: &mut Report, row: &Row, count: usize, anchor: Option<Duration>) {
    let Measured { total, p50, p99 } = row.median();
    let rate = count as f64 / total.as_secs_f64();
    let ratio = anchor.map(|anchor| total.as_secs_f64() / anchor.as_secs_f64());
    let is_flow = row.name == FLOW;
    let verdict = ratio.filter(|_| is_flow).map(|ratio| {
        let what = format!("messages: {ratio:.2} of {} × {ANCHOR}", targets::MESSAGES);
        report.target(what, ratio <= targets::MESSAGES)
    });
    let target = format!("{} × it ({} per s)", targets::MESSAGES, targets::MESSAGES_PER_SECOND);
    let micros = |time: Duration| format!("{:.0} µs", time.as_secs_f64() * 1e6);
    let cells = [
        row.name.to_owned(),
        format!("{rate:.0}"),
        micros(p50),
        micros(p99),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} × {ANCHOR}")),
        if is_flow { target } else { String::new() },
        verdict.unwrap_or_default(),
    ];
    let figures = json!({
        "workload": "messages", "engine": row.name, "runs": row.measured.len(),
        "messages_per_second": rate, "p50_micros": p50.as_secs_f64() * 1e6,
        "p99_micros": p99.as_secs_f64() * 1e6, "ratio": ratio,
        "target_ratio": is_flow.then_some(targets::MESSAGES),
    });
    report.line(&cells, figures);
}

/// Runs one row, for a profiler; whether there is such a row.
pub fn child(options: &Options, row: &str, runs: usize) -> bool {
    let Some(row) = rows().into_iter().find(|other| other.name == row) else { return false };
    for _ in 0..runs {
        (row.run)(count(options));
    }
    true
}

/// What Flow's row is called.
const FLOW: &str = "Flow";

fn rows() -> Vec<Row> {
    let runtime = flow::load();
    let flow = move |count| {
        let figures = flow::run(&runtime, count);
        Measured { total: figures.total, p50: figures.latency(0.5), p99: figures.latency(0.99) }
    };
    #[cfg_attr(not(feature = "dataflow"), expect(unused_mut, reason = "there is no other"))]
    let mut rows = vec![Row::new(FLOW, flow)];
    #[cfg(feature = "dataflow")]
    {
        use super::dataflow;
        let program = dataflow::build();
        let other = program.clone();
        rows.push(Row::new("dataflow-rs 4.0.3", move |count| dataflow::run(&other, count, true)));
        rows.push(Row::new(ANCHOR, move |count| dataflow::run(&program, count, false)));
    }
    rows
}

fn count(options: &Options) -> usize {
    if options.quick { 100 } else { 20_000 }
}
