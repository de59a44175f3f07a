//! The tables, and the same figures as JSON.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::engine::{Absent, Threads};
use crate::measure::Figures;
use crate::options::Options;
use crate::rows::Row;
use crate::targets;
use crate::workload::{Work, Workload};

/// Prints tables as they come, and keeps the figures.
pub struct Report {
    quick: bool,
    rows: Vec<Json>,
    targets: Vec<(String, bool)>,
}

impl Report {
    /// An empty report.
    pub fn new(options: &Options) -> Self {
        Self { quick: options.quick, rows: Vec::new(), targets: Vec::new() }
    }

    /// The title of a table and its header.
    pub fn table(&self, title: &str, columns: &[&str]) {
        println!("\n## {title}\n");
        println!("| {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len()));
    }

    /// A line of a table, and its figures.
    pub fn line(&mut self, cells: &[String], figures: Json) {
        println!("| {} |", cells.join(" | "));
        self.rows.push(figures);
    }

    /// Notes whether a target was met, and says so; not if everything is tiny, when it would mean
    /// nothing.
    pub fn target(&mut self, what: String, is_met: bool) -> String {
        if self.quick {
            return String::new();
        }
        self.targets.push((what, is_met));
        if is_met { "met".to_owned() } else { "**missed**".to_owned() }
    }

    /// The table of a workload.
    pub fn workload(
        &mut self,
        workload: &Workload,
        rows: &[Row],
        figures: &[Result<Figures, Absent>],
    ) {
        self.table(
            &format!("{}: {}", workload.name, workload.about),
            &["engine", "threads", "µs/node", "best", "ratio", "target", "", "peak memory", "note"],
        );
        let median = |name: &str| {
            let found = rows.iter().zip(figures).find(|(row, _)| row.name == name);
            found.and_then(|(_, figures)| figures.as_ref().ok()).map(Figures::median)
        };
        for (row, figures) in rows.iter().zip(figures) {
            let anchor = median(row.anchor);
            match figures {
                Ok(figures) => self.figures(workload, row, figures, anchor),
                Err(absent) => self.absent(workload, row, absent),
            }
        }
        if matches!(workload.work, Work::Burn(_)) {
            self.speed_up(workload, &median);
        }
    }

    fn figures(
        &mut self,
        workload: &Workload,
        row: &Row,
        figures: &Figures,
        anchor: Option<Duration>,
    ) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / workload.nodes() as f64;
        let (median, best) = (micros(figures.median()), micros(figures.best()));
        let ratio = anchor.map(|anchor| median / micros(anchor));
        let limit = targets::ratio(workload.name, row.name);
        let expected = targets::expected_micros(workload.name, row.name);
        let (target, verdict) = match (ratio, limit) {
            (Some(ratio), Some(limit)) => {
                let mut target = format!("{limit:.2} × {}", row.anchor);
                if let Some(expected) = expected {
                    target += &format!(" ({expected:.2} µs)");
                }
                let what = format!("{}, {}: {ratio:.2} of {target}", workload.name, row.name);
                (target, self.target(what, ratio <= limit))
            }
            _ => (String::new(), String::new()),
        };
        let memory = figures.memory.map_or_else(String::new, |memory| {
            format!("{} ({} loaded)", megabytes(memory.peak), megabytes(memory.loaded))
        });
        let cells = [
            row.name.to_owned(),
            threads(row.threads).to_owned(),
            format!("{median:.3}"),
            format!("{best:.3}"),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} × {}", row.anchor)),
            target,
            verdict,
            memory,
            row.note.to_owned(),
        ];
        let json = json!({
            "workload": workload.name, "engine": row.name, "threads": threads(row.threads),
            "runs": figures.times.len(), "micros_per_node": median, "best": best,
            "anchor": row.anchor, "ratio": ratio, "target_ratio": limit,
            "expected_micros": expected, "peak_bytes": figures.memory.map(|memory| memory.peak),
            "loaded_bytes": figures.memory.map(|memory| memory.loaded), "note": row.note,
        });
        self.line(&cells, json);
    }

    fn absent(&mut self, workload: &Workload, row: &Row, absent: Absent) {
        let mut cells = vec![row.name.to_owned(), threads(row.threads).to_owned(), "–".to_owned()];
        cells.resize(8, String::new());
        cells.push((*absent).to_owned());
        let json = json!({ "workload": workload.name, "engine": row.name, "absent": absent });
        self.line(&cells, json);
    }

    fn speed_up(&mut self, workload: &Workload, median: &dyn Fn(&str) -> Option<Duration>) {
        let (one, two) = (median("Flow, task, 1 thread"), median("Flow, task"));
        let (Some(one), Some(two)) = (one, two) else { return };
        let speed_up = one.as_secs_f64() / two.as_secs_f64();
        let what = format!("{}: {speed_up:.2} times faster on two workers", workload.name);
        let verdict = self.target(what, speed_up >= targets::SPEED_UP);
        let target = targets::SPEED_UP;
        println!("\nFlow on two workers: {speed_up:.2} × one thread, target {target} {verdict}");
        self.rows.push(json!({ "workload": workload.name, "speed_up": speed_up }));
    }

    /// Ends the report: which targets were missed, and the figures into a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self, json: Option<&str>) -> std::io::Result<()> {
        let missed: Vec<&str> = self
            .targets
            .iter()
            .filter(|(_, is_met)| !is_met)
            .map(|(what, _)| what.as_str())
            .collect();
        if self.quick {
            println!("\nEverything ran and every output was right; the figures mean nothing.");
        } else if !self.targets.is_empty() {
            let met = self.targets.len() - missed.len();
            println!("\n{met} of {} targets met in this run.", self.targets.len());
            missed.iter().for_each(|what| println!("- missed: {what}"));
        }
        let Some(file) = json else { return Ok(()) };
        let figures = json!({ "quick": self.quick, "rows": self.rows, "missed": missed });
        std::fs::write(file, format!("{figures:#}\n"))
    }
}

/// What the table calls a tokio runtime.
pub fn threads(threads: Threads) -> &'static str {
    match threads {
        Threads::One => "1",
        Threads::Two => "2",
    }
}

/// A size for people.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
