//! I/O-bound work: many executions that mostly wait, against threads that block.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flowcore::{Execution, Object, Value, Workflow};
use flowruntime::FlowRuntime;
use serde_json::json;

use crate::engine::Threads;
use crate::flow;
use crate::graph::{Graph, PORTS};
use crate::measure::status_field;
use crate::options::Options;
use crate::report::Report;
use crate::workload::{Work, add};

/// How long each node waits: about what a request within a data centre takes.
const WAIT: Duration = Duration::from_millis(2);
/// How many nodes an execution has, one after the other.
const NODES: u32 = 5;
/// The threads of a pool, as blocking servers have them.
const POOL: usize = 64;

/// What one run gave.
struct Figures {
    total: Duration,
    /// From the start of each execution to its end, sorted.
    latencies: Vec<Duration>,
    /// The most threads that the process had.
    threads: u64,
}

type Run = fn(usize) -> Figures;

/// Races executions that wait against the same work on threads.
pub fn run(options: &Options, report: &mut Report) {
    let executions = if options.quick { 10 } else { 1_000 };
    let rows: [(&str, Run); 4] = [
        ("Flow, 1 thread", |executions| flow(executions, Threads::One)),
        ("Flow, 2 workers", |executions| flow(executions, Threads::Two)),
        ("a thread per execution", |executions| threads(executions, executions)),
        ("a pool of 64 threads", |executions| threads(executions, POOL)),
    ];
    let mut measured: Vec<Vec<Figures>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.runs {
        for ((_, run), measured) in rows.iter().zip(&mut measured) {
            measured.push(run(executions));
        }
    }
    report.table(
        &format!("io: {executions} executions at once, each {NODES} waits of {WAIT:?}"),
        &["engine", "nodes/s", "latency p50", "p99", "threads"],
    );
    for ((name, _), mut figures) in rows.iter().zip(measured) {
        figures.sort_by_key(|figures| figures.total);
        let median = &figures[figures.len() / 2];
        let rate = executions as f64 * f64::from(NODES) / median.total.as_secs_f64();
        let at = |part: f64| {
            let last = (median.latencies.len() - 1) as f64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            median.latencies[(last * part) as usize]
        };
        let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let cells = [
            (*name).to_owned(),
            format!("{rate:.0}"),
            millis(at(0.5)),
            millis(at(0.99)),
            median.threads.to_string(),
        ];
        let json = json!({
            "workload": "io", "engine": name, "nodes_per_second": rate,
            "p50_micros": at(0.5).as_secs_f64() * 1e6, "p99_micros": at(0.99).as_secs_f64() * 1e6,
            "threads": median.threads,
        });
        report.line(&cells, json);
    }
}

fn flow(executions: usize, threads: Threads) -> Figures {
    let graph = Graph::chain(NODES);
    let text = flow::workflow_text(&graph);
    let workflow = Workflow::from_json(&text).expect("the file is good");
    let runtime = FlowRuntime::builder()
        .registry(flow::registry(Work::Sleep(WAIT), Execution::Async))
        .max_running_nodes(1_000_000)
        .build()
        .expect("the settings are good");
    runtime.plan(&workflow).expect("the workflow is good");
    let tokio = threads.runtime();
    tokio.block_on(async {
        let began = Instant::now();
        let mut waits = Vec::with_capacity(executions);
        for seed in 0..executions as u64 {
            let inputs = Object::from_entries([(PORTS[0], Value::from(seed))]).expect("it is flat");
            let started = Instant::now();
            let execution = runtime.start(&workflow, inputs).await.expect("it starts");
            waits.push(tokio::spawn(async move {
                let result = execution.wait().await.expect("it is not lost");
                let last = format!("n{}", NODES - 1);
                let output = result.outputs.get(&last).and_then(|ports| ports.get("out")).cloned();
                assert_eq!(output.and_then(|value| value.as_u64()), Some(seed + u64::from(NODES)));
                started.elapsed()
            }));
        }
        let threads = status_field("Threads");
        let mut latencies = Vec::with_capacity(executions);
        for wait in waits {
            latencies.push(wait.await.expect("no task panics"));
        }
        latencies.sort_unstable();
        Figures { total: began.elapsed(), latencies, threads }
    })
}

fn threads(executions: usize, threads: usize) -> Figures {
    let next = Arc::new(AtomicUsize::new(0));
    let alive = Arc::new(AtomicUsize::new(1));
    let most = Arc::new(AtomicUsize::new(0));
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(executions)));
    let began = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (next, latencies) = (next.clone(), latencies.clone());
            let (alive, most) = (alive.clone(), most.clone());
            std::thread::spawn(move || {
                most.fetch_max(alive.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= executions {
                        alive.fetch_sub(1, Ordering::Relaxed);
                        return;
                    }
                    let mut value = seed as u64;
                    for _ in 0..NODES {
                        std::thread::sleep(WAIT);
                        value = add([value]);
                    }
                    assert_eq!(value, seed as u64 + u64::from(NODES));
                    // All of them were asked for at the start.
                    latencies.lock().expect("nobody panics").push(began.elapsed());
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no thread panics"));
    let total = began.elapsed();
    let mut latencies = std::mem::take(&mut *latencies.lock().expect("nobody panics"));
    latencies.sort_unstable();
    Figures { total, latencies, threads: most.load(Ordering::Relaxed) as u64 }
}
