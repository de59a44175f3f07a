//! The same executions in PostgreSQL, on this machine, beside SQLite.

use std::sync::Arc;

use flowruntime::store::Store;
use flowstore::{Access, StoreUrl};
use serde_json::json;
use testkit::Postgres;

use super::executions::{Measured, run_alone};
use super::home::{Home, file_system};
use super::section::micros;
use super::steps::{STEPS, Steps};
use crate::engine::Threads;
use crate::options::Options;
use crate::report::Report;
use crate::targets::durable as targets;

/// Executions of Flow in both stores.
struct Row {
    steps: Steps,
    /// How many are under way at the same time.
    in_flight: u64,
    /// How many there are in one run.
    count: u64,
    samples: Vec<Sample>,
}

/// What one run gave.
struct Sample {
    /// Executions per second in SQLite.
    sqlite: f64,
    postgres: Measured,
}

/// Measures them; says so when PostgreSQL is not installed.
pub fn run(options: &Options, report: &mut Report) {
    // The parent of the folder of the server must let its user pass, which a new one does not.
    let folder = super::home::parent(options);
    let Some(server) = Postgres::start_flushing(&folder) else {
        return testkit::skipped("postgresql");
    };
    let mut rows = rows(options);
    let mut schemas = 0..;
    for round in 0..=options.runs {
        for row in &mut rows {
            let sample = row.run(options, &server, schemas.next().expect("there are enough"));
            // The first round warms up.
            if round > 0 {
                row.samples.push(sample);
            }
        }
    }
    report.table(
        &format!("durable: {STEPS} steps in PostgreSQL on {}, flushed", file_system(options)),
        &[
            "steps",
            "in flight",
            "executions/s",
            "p50",
            "p99",
            "commits/execution",
            "rows/commit",
            "in SQLite",
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
            rows.push(Row { steps, in_flight, count, samples: Vec::new() });
        }
    }
    rows
}

impl Row {
    fn run(&self, options: &Options, server: &Postgres, schema: u32) -> Sample {
        let Self { steps, in_flight, count, .. } = *self;
        let home = Home::new(options);
        let sqlite = run_alone(Threads::Two, async || home.open().await, steps, in_flight, count);
        let url = format!("{}?sslmode=disable&schema=bench_{schema}", server.url());
        let open = async || open_postgres(url).await;
        let postgres = run_alone(Threads::Two, open, steps, in_flight, count);
        Sample { sqlite: sqlite.rate(), postgres }
    }

    fn report(&mut self, report: &mut Report) {
        let ratio = |sample: &Sample| sample.postgres.rate() / sample.sqlite;
        self.samples.sort_unstable_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let sample = &self.samples[self.samples.len() / 2];
        let (ratio, Sample { sqlite, postgres }) = (ratio(sample), sample);
        let (rate, least) = (postgres.rate(), targets::PART_OF_SQLITE);
        let (steps, in_flight) = (self.steps.name(), self.in_flight);
        let target = (in_flight == 256).then(|| format!("{least:.2} of SQLite"));
        let verdict = target.as_ref().map(|target| {
            let what = format!(
                "durable: {steps}, {in_flight} in flight in PostgreSQL: {rate:.0}/s, {ratio:.2}; {target}"
            );
            report.target(what, ratio >= least)
        });
        let commits = postgres.commits as f64 / self.count as f64;
        let cells = [
            steps.to_owned(),
            in_flight.to_string(),
            format!("{rate:.0}"),
            micros(postgres.latency(0.5)),
            micros(postgres.latency(0.99)),
            format!("{commits:.2}"),
            format!("{:.1}", postgres.rows_per_commit()),
            format!("{sqlite:.0} executions/s"),
            format!("{ratio:.2} of SQLite"),
            target.unwrap_or_default(),
            verdict.unwrap_or_default(),
        ];
        let figures = json!({
            "workload": "durable", "store": "postgres", "steps": steps, "in_flight": in_flight,
            "threads": "2", "runs": self.samples.len(), "executions_per_second": rate,
            "p50_micros": postgres.latency(0.5).as_secs_f64() * 1e6,
            "p99_micros": postgres.latency(0.99).as_secs_f64() * 1e6,
            "commits": postgres.commits, "executions": self.count,
            "rows_per_commit": postgres.rows_per_commit(),
            "sqlite_executions_per_second": sqlite,
        });
        report.line(&cells, figures);
    }
}

async fn open_postgres(url: String) -> Arc<dyn Store> {
    flowstore::open(&StoreUrl::Postgres(url), Access::Execute).await.expect("the store opens")
}
