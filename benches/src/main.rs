//! Flow's benchmarks: limits, Flow and its peers side by side, in the same run, outputs checked.

mod engine;
mod flow;
mod graph;
mod limits;
mod measure;
mod rows;
mod targets;
mod workload;

use std::sync::Arc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let workloads: Vec<Arc<workload::Workload>> =
        workload::all(args.iter().any(|a| a == "--quick")).into_iter().map(Arc::new).collect();
    if args.first().is_some_and(|a| a == measure::CHILD) {
        let workload = workloads.iter().find(|w| w.name == args[1]).unwrap();
        let row = rows::of(workload).into_iter().find(|r| r.name == args[2]).unwrap();
        println!(
            "{}",
            measure::child(workload, &row, args.get(3).map_or(3, |n| n.parse().unwrap()))
        );
        return;
    }
    let only: Vec<&String> = args.iter().filter(|a| !a.starts_with("--")).collect();
    for workload in workloads {
        if !only.is_empty() && !only.iter().any(|o| *o == workload.name) {
            continue;
        }
        println!("== {} {}", workload.name, workload.about);
        let rows = rows::of(&workload);
        let found = measure::rounds(&workload, &rows, 7);
        let anchor = |name: &str| {
            rows.iter()
                .zip(&found)
                .find(|(r, _)| r.name == name)
                .and_then(|(_, f)| f.as_ref().ok())
                .map(|f| f.median())
        };
        for (row, f) in rows.iter().zip(&found) {
            match f {
                Ok(f) => {
                    let a = anchor(row.anchor).unwrap();
                    let r = f.median().as_secs_f64() / a.as_secs_f64();
                    println!(
                        "{:30} {:8.3} µs/node best {:8.3}  ratio {:5.2} target {:?} peak {:?} MB",
                        row.name,
                        f.median().as_secs_f64() * 1e6 / workload.nodes() as f64,
                        f.best().as_secs_f64() * 1e6 / workload.nodes() as f64,
                        r,
                        targets::ratio(workload.name, row.name),
                        f.peak_bytes.map(|b| b / 1_000_000)
                    );
                }
                Err(e) => println!("{:30} – {e}", row.name),
            }
        }
    }
}
