//! The tables.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::home::{Home, file_system};
use super::recovery::Recovered;
use super::steps::{STEPS, Steps};
use super::{bare, executions, recovery, waiting};
use crate::engine::Threads;
use crate::options::Options;
use crate::report::{Report, threads};
use crate::targets::durable as targets;

/// Executions of Flow, and what they gave.
struct Row {
    steps: Steps,
    threads: Threads,
    /// How many are under way at the same time.
    in_flight: u64,
    /// How many there are in one run.
    count: u64,
    samples: Vec<Sample>,
}

/// What one run gave, and bare SQLite after it.
#[derive(Clone, Copy)]
struct Sample {
    /// Executions per second.
    rate: f64,
    p50: Duration,
    p99: Duration,
    /// Of all threads, for one execution.
    cpu: Duration,
    events: u64,
    commits: u64,
    rows_per_commit: f64,
    /// Executions per second if the same rows are written in as many commits.
    limit: f64,
    /// A commit of one row; measured for those that run alone.
    commit: Option<Duration>,
}

/// How a run compares with bare SQLite.
struct Compared {
    limit: String,
    ratio: String,
    /// The target, if there is one, and whether it was met.
    target: Option<(String, bool)>,
}

/// Measures executions that are kept, and those that go on after a crash.
pub fn run(options: &Options, report: &mut Report) {
    throughput(options, report);
    recovered(options, report);
    memory(options, report);
}

fn throughput(options: &Options, report: &mut Report) {
    let mut rows = rows(options);
    for round in 0..=options.runs {
        for row in &mut rows {
            let sample = row.run(options);
            // The first round warms up.
            if round > 0 {
                row.samples.push(sample);
            }
        }
    }
    report.table(
        &format!("durable: {STEPS} steps in SQLite on {}, flushed", file_system(options)),
        &[
            "steps",
            "in flight",
            "threads",
            "executions/s",
            "p50",
            "p99",
            "CPU",
            "commits/execution",
            "rows/commit",
            "limit",
            "ratio",
            "target",
            "",
        ],
    );
    rows.iter_mut().for_each(|row| row.report(report));
}

fn rows(options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for (steps, count) in
        [(Steps::Pure, [1_000, 10_000, 20_000]), (Steps::Idempotent, [200, 2_000, 5_000])]
    {
        for (in_flight, count) in [1, 16, 256].into_iter().zip(count) {
            let count = if options.quick { 20 } else { count };
            rows.extend([Threads::One, Threads::Two].map(|threads| Row {
                steps,
                threads,
                in_flight,
                count,
                samples: Vec::new(),
            }));
        }
    }
    rows
}

impl Row {
    fn name(&self) -> String {
        format!(
            "{}, {} in flight, {} threads",
            self.steps.name(),
            self.in_flight,
            threads(self.threads)
        )
    }

    fn run(&self, options: &Options) -> Sample {
        let home = Home::new(options);
        let open = async || home.open().await;
        let measured =
            executions::run_alone(self.threads, open, self.steps, self.in_flight, self.count);
        let mut rows = measured.rows.iter().collect::<Vec<_>>();
        // Those that are under way together write in turns.
        let together = i64::try_from(self.in_flight).expect("it is small");
        rows.sort_by_key(|row| ((row.execution - 1) / together, row.first_seq, row.execution));
        let rows_per_commit = measured.rows_per_commit();
        let limit = bare::write(&home.file("bare.db"), &rows, rows_per_commit);
        // Only one at a time is compared with it.
        let some = &rows[..rows.len().min(SINGLE_COMMITS)];
        let commit = (self.in_flight == 1)
            .then(|| bare::write(&home.file("bare.db"), some, 1.0).div_f64(some.len() as f64));
        Sample {
            rate: measured.rate(),
            p50: measured.latency(0.5),
            p99: measured.latency(0.99),
            cpu: measured.cpu.div_f64(self.count as f64),
            events: measured.events,
            commits: measured.commits,
            rows_per_commit,
            limit: self.count as f64 / limit.as_secs_f64(),
            commit,
        }
    }

    fn report(&mut self, report: &mut Report) {
        self.samples.sort_unstable_by(|one, other| one.rate.total_cmp(&other.rate));
        let sample = self.samples[self.samples.len() / 2];
        let best = self.samples[self.samples.len() - 1].rate;
        let Sample { rate, p50, p99, .. } = sample;
        let Compared { limit, ratio, target } = self.compare(&sample);
        let verdict = target.as_ref().map(|(target, is_met)| {
            let what = format!("durable: {}: {rate:.0}/s, {ratio}; {target}", self.name());
            report.target(what, *is_met)
        });
        let cells = [
            self.steps.name().to_owned(),
            self.in_flight.to_string(),
            threads(self.threads).to_owned(),
            format!("{rate:.0}"),
            micros(p50),
            micros(p99),
            micros(sample.cpu),
            format!("{:.2}", sample.commits as f64 / self.count as f64),
            format!("{:.1}", sample.rows_per_commit),
            limit,
            ratio,
            target.map(|(target, _)| target).unwrap_or_default(),
            verdict.unwrap_or_default(),
        ];
        let figures = json!({
            "workload": "durable", "steps": self.steps.name(), "in_flight": self.in_flight,
            "threads": threads(self.threads), "runs": self.samples.len(),
            "executions_per_second": rate, "best": best, "p50_micros": p50.as_secs_f64() * 1e6,
            "p99_micros": p99.as_secs_f64() * 1e6, "cpu_micros": sample.cpu.as_secs_f64() * 1e6, "events": sample.events,
            "commits": sample.commits, "executions": self.count,
            "rows_per_commit": sample.rows_per_commit,
            "limit_executions_per_second": sample.limit,
            "one_row_commit_micros": sample.commit.map(|commit| commit.as_secs_f64() * 1e6),
        });
        report.line(&cells, figures);
    }

    fn compare(&self, sample: &Sample) -> Compared {
        let Some(commit) = sample.commit else { return self.compare_rates(sample) };
        let ratio = sample.p50.div_f64(f64::from(STEPS)).as_secs_f64() / commit.as_secs_f64();
        let target = format!("{} × a commit per step", targets::STEP);
        Compared {
            limit: format!("{} per commit", micros(commit)),
            ratio: format!("{ratio:.2} × a commit per step"),
            target: (self.steps == Steps::Idempotent).then_some((target, ratio <= targets::STEP)),
        }
    }

    fn compare_rates(&self, sample: &Sample) -> Compared {
        let ratio = sample.rate / sample.limit;
        let target = match self.steps {
            // The other rows show what it depends on.
            _ if self.in_flight < 256 || self.threads == Threads::One => None,
            Steps::Pure => {
                let least = targets::PURE_PER_SECOND;
                Some((format!("{least} per s"), sample.rate >= f64::from(least)))
            }
            Steps::Idempotent => {
                let (least, part) = (targets::IDEMPOTENT_PER_SECOND, targets::PART_OF_BARE);
                let is_met = sample.rate >= f64::from(least) && ratio >= part;
                Some((format!("{least} per s, {part:.2} of the limit"), is_met))
            }
        };
        Compared {
            limit: format!("{:.0} executions/s", sample.limit),
            ratio: format!("{ratio:.2} of the limit"),
            target,
        }
    }
}

/// How many rows are committed one by one.
const SINGLE_COMMITS: usize = 1_000;

fn recovered(options: &Options, report: &mut Report) {
    let count = count(options);
    let mut runs: Vec<Recovered> =
        (0..options.runs).map(|_| recovery::run(&Home::new(options), count)).collect();
    runs.sort_unstable_by_key(|run| run.all);
    let Recovered { opened, first, all, ended } = runs[runs.len() / 2];
    report.table(
        &format!("durable: {count} executions that were cut off, from the opening of the file"),
        &["store open", "first node", "all nodes", "all ended", "target", ""],
    );
    let (first_limit, all_limit) = (targets::FIRST_RECOVERED, targets::ALL_RECOVERED);
    let target = format!("first {}, all {}", millis(first_limit), millis(all_limit));
    let what = format!("durable: recovered {}, {} of {target}", millis(first), millis(all));
    let verdict = report.target(what, first <= first_limit && all <= all_limit);
    let cells = [millis(opened), millis(first), millis(all), millis(ended), target, verdict];
    let figures = json!({
        "workload": "durable", "recovered": count, "runs": runs.len(),
        "opened_millis": opened.as_secs_f64() * 1e3, "first_millis": first.as_secs_f64() * 1e3,
        "all_millis": all.as_secs_f64() * 1e3, "ended_millis": ended.as_secs_f64() * 1e3,
    });
    report.line(&cells, figures);
}

fn memory(options: &Options, report: &mut Report) {
    let count = count(options);
    let mut runs: Vec<(u64, u64)> = (0..options.runs).map(|_| waiting_child(options)).collect();
    runs.sort_unstable_by_key(|(before, after)| after.saturating_sub(*before));
    let (before, after) = runs[runs.len() / 2];
    let added = after.saturating_sub(before);
    report.table(
        &format!("durable: {count} executions that wait for a signal, resident memory"),
        &["before", "added", "bytes each", "target", ""],
    );
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let target = megabytes(targets::WAITING_BYTES);
    let what = format!("durable: waiting executions add {} of {target}", megabytes(added));
    let verdict = report.target(what, added <= targets::WAITING_BYTES);
    let each = format!("{:.0}", added as f64 / count as f64);
    let cells = [megabytes(before), megabytes(added), each, target, verdict];
    let figures = json!({
        "workload": "durable", "waiting": count, "runs": runs.len(), "before_bytes": before,
        "added_bytes": added,
    });
    report.line(&cells, figures);
}

pub(super) fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn count(options: &Options) -> usize {
    if options.quick { 100 } else { 10_000 }
}

/// The child that measures what executions take that wait.
const WAITING: &str = "waiting";

/// In a process of its own, whose allocator has nothing left from what ran before.
fn waiting_child(options: &Options) -> (u64, u64) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = std::process::Command::new(program);
    if let Some(folder) = &options.store_dir {
        command.args(["--store-dir", folder]);
    }
    if options.quick {
        command.arg("--quick");
    }
    let command = command.args(["--child", "durable", WAITING, "1"]);
    let output = command.stderr(std::process::Stdio::inherit()).output().expect("it starts");
    assert!(output.status.success(), "see above");
    let answer: Json = serde_json::from_slice(&output.stdout).expect("a child answers JSON");
    let bytes = |name| answer[name].as_u64().expect("it says so");
    (bytes("before_bytes"), bytes("after_bytes"))
}

/// Runs one row, for a profiler; whether there is such a row.
pub fn child(options: &Options, row: &str, runs: usize) -> bool {
    let cut_off = |_| {
        recovery::run(&Home::new(options), count(options));
    };
    let wait = |_| println!("{}", waiting::run(&Home::new(options), count(options)));
    match row {
        WAITING => (0..runs).for_each(wait),
        "recovery" => (0..runs).for_each(cut_off),
        row => {
            let rows = rows(options);
            let Some(row) = rows.iter().find(|other| other.name() == row) else { return false };
            for _ in 0..runs {
                row.run(options);
            }
        }
    }
    true
}
