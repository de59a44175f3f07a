//! Measuring: interleaved rounds, so that what else the machine does meets every row alike.

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::engine::{Absent, Engine};
use crate::rows::Row;
use crate::workload::Workload;

/// What a row measured.
pub struct Figures {
    /// Sorted.
    pub times: Vec<Duration>,
    /// Only where the row had a process of its own.
    pub memory: Option<Memory>,
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// When it had loaded, with what loading left to the allocator.
    pub loaded: u64,
    /// The most while it ran.
    pub peak: u64,
}

impl Figures {
    fn new(mut times: Vec<Duration>, memory: Option<Memory>) -> Self {
        times.sort_unstable();
        Self { times, memory }
    }

    /// The median.
    pub fn median(&self) -> Duration {
        self.times[self.times.len() / 2]
    }

    /// The shortest.
    pub fn best(&self) -> Duration {
        self.times[0]
    }
}

/// An engine on its tokio runtime.
struct Bench {
    engine: Arc<dyn Engine>,
    tokio: Runtime,
    seed: u64,
    times: Vec<Duration>,
    /// What all of its runs took.
    spent: Duration,
}

impl Bench {
    fn load(row: &Row, workload: &Arc<Workload>) -> Result<Self, Absent> {
        let tokio = row.threads.runtime();
        let engine = {
            let _inside = tokio.enter();
            row.load(workload)?
        };
        Ok(Self { engine, tokio, seed: 1, times: Vec::new(), spent: Duration::ZERO })
    }

    fn run(&mut self) -> Duration {
        self.seed += 1;
        // A task, so that with two workers everything happens on them.
        let task = self.tokio.spawn(self.engine.clone().run(self.seed));
        let time = self.tokio.block_on(task).expect("the run does not panic").time;
        self.spent += time;
        time
    }
}

/// A row that has run for this long does not run more often than it must.
const ENOUGH: Duration = Duration::from_secs(3);

/// Runs every row of a workload, in rounds, each row in each round.
pub fn rounds(workload: &Arc<Workload>, rows: &[Row], runs: usize) -> Vec<Result<Figures, Absent>> {
    if workload.heavy && !workload.quick {
        return rounds_in_children(workload, rows, runs);
    }
    let mut benches: Vec<_> = rows.iter().map(|row| Bench::load(row, workload)).collect();
    let rounds = runs * workload.repeat;
    for round in 0..=rounds {
        for bench in benches.iter_mut().flatten() {
            if round > runs && bench.spent > ENOUGH {
                continue;
            }
            let time = bench.run();
            // The first round warms up.
            if round > 0 || workload.quick {
                bench.times.push(time);
            }
        }
    }
    let figures = |bench: Result<Bench, Absent>| bench.map(|bench| Figures::new(bench.times, None));
    benches.into_iter().map(figures).collect()
}

/// How many runs a process makes before the next row has its turn.
const RUNS_PER_CHILD: usize = 3;

fn rounds_in_children(
    workload: &Arc<Workload>,
    rows: &[Row],
    runs: usize,
) -> Vec<Result<Figures, Absent>> {
    let mut found: Vec<_> = rows.iter().map(|_| Ok((Vec::new(), Memory::default()))).collect();
    for _ in 0..runs.div_ceil(RUNS_PER_CHILD) {
        for (row, found) in rows.iter().zip(&mut found) {
            let Ok((times, most)) = found else { continue };
            match run_child(workload, row) {
                Ok((more, memory)) => {
                    times.extend(more);
                    if memory.peak > most.peak {
                        *most = memory;
                    }
                }
                Err(absent) => *found = Err(absent),
            }
        }
    }
    let figures = |found: Result<(Vec<Duration>, Memory), Absent>| {
        found.map(|(times, memory)| Figures::new(times, Some(memory)))
    };
    found.into_iter().map(figures).collect()
}

fn run_child(workload: &Workload, row: &Row) -> Result<(Vec<Duration>, Memory), Absent> {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--child", workload.name, row.name, &RUNS_PER_CHILD.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("this program can be started");
    // A wrong output, or our mistake; an engine that is killed or overflows its stack is only absent.
    let row = row.name;
    assert!(output.status.code().is_none_or(|code| code == 0), "{row} failed; see above");
    if !output.status.success() {
        return Err("its process was killed");
    }
    let answer: Json = serde_json::from_slice(&output.stdout).expect("a child answers JSON");
    if let Some(reason) = answer["absent"].as_str() {
        return Err(reason.to_owned().leak());
    }
    let nanos = answer["nanos"].as_array().into_iter().flatten().filter_map(Json::as_u64);
    let bytes = |name| answer[name].as_u64().unwrap_or_default();
    let memory = Memory { loaded: bytes("loaded_bytes"), peak: bytes("peak_bytes") };
    Ok((nanos.map(Duration::from_nanos).collect(), memory))
}

/// What a child does: runs one row and prints what it measured.
pub fn child(workload: &Arc<Workload>, row: &Row, runs: usize) -> Json {
    let progress = watch();
    let mut bench = match Bench::load(row, workload) {
        Ok(bench) => bench,
        Err(absent) => return json!({ "absent": absent }),
    };
    reset_peak();
    let loaded = status_field("VmRSS");
    let mut nanos = Vec::new();
    for _ in 0..runs {
        progress.send(()).expect("it watches as long as this lives");
        nanos.push(u64::try_from(bench.run().as_nanos()).expect("not for centuries"));
    }
    json!({ "nanos": nanos, "loaded_bytes": loaded, "peak_bytes": status_field("VmHWM") })
}

/// How long one run may take, with what it prepares.
const LONGEST: Duration = Duration::from_secs(60);
/// How much memory a row may take, in bytes: others use the machine, too.
const LARGEST: u64 = 8_000_000_000;

/// Gives up, for the whole process, when nothing is sent for too long or memory grows too large.
fn watch() -> Sender<()> {
    let (progress, progressed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut since = Instant::now();
        let absent = loop {
            match progressed.recv_timeout(Duration::from_millis(200)) {
                Ok(()) => since = Instant::now(),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if since.elapsed() > LONGEST => {
                    break format!("not done within {} s", LONGEST.as_secs());
                }
                Err(RecvTimeoutError::Timeout) if status_field("VmRSS") > LARGEST => {
                    break format!("takes more than {} GB", LARGEST / 1_000_000_000);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        println!("{}", json!({ "absent": absent }));
        std::process::exit(0);
    });
    progress
}

/// Makes the peak of the resident memory start again from what is resident now.
fn reset_peak() {
    // Where it is not allowed, the peak includes loading, which only makes it larger.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// A size in `/proc/self/status`, in bytes; 0 where there is no such file.
pub fn status_field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let factor = if name.starts_with("Vm") { 1024 } else { 1 };
    number.unwrap_or_default() * factor
}

/// How long the threads of this process had a processor, in steps of 10 ms; 0 where it is not known.
#[cfg(feature = "durable")]
pub fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // For itself and in the kernel; the unit is the same on every Linux.
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
