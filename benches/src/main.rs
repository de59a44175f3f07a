//! Flow's benchmarks: the limits, Flow and its peers, side by side in the same run, with every
//! output checked.

mod cli;
#[cfg(feature = "durable")]
mod durable;
mod each;
mod engine;
mod flow;
mod graph;
mod io;
mod limits;
mod load;
mod measure;
mod memory;
mod messages;
mod options;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod rows;
mod targets;
mod template;
mod workload;

use std::process::ExitCode;
use std::sync::Arc;

use options::{HELP, Options};
use report::Report;
use workload::Workload;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Some((workload, row, runs)) = &options.child {
        return child(&options, workload, row, *runs);
    }
    let mut report = Report::new(&options);
    if memory::IS_COUNTED {
        memory::run(&options, &mut report);
    } else {
        run(&options, &mut report);
    }
    match report.finish(options.json.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the figures could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, report: &mut Report) {
    for workload in workload::all(options.quick) {
        if options.wants(workload.name) {
            let workload = Arc::new(workload);
            let rows = rows::of(&workload);
            let figures = measure::rounds(&workload, &rows, options.runs);
            report.workload(&workload, &rows, &figures);
        }
    }
    if options.wants("each") {
        each::run(options, report);
    }
    if options.wants("messages") {
        messages::run(options, report);
    }
    if options.wants("io") {
        io::run(options, report);
    }
    if options.wants("load") {
        load::run(options, report);
    }
    if options.wants("cli") {
        cli::run(options, report);
    }
    #[cfg(feature = "durable")]
    if options.wants("durable") {
        durable::run(options, report);
    }
    #[cfg(feature = "postgres")]
    if options.wants("postgres") {
        durable::run_postgres(options, report);
    }
}

fn child(options: &Options, workload: &str, row: &str, runs: usize) -> ExitCode {
    let section = match workload {
        "each" => Some(each::child(options, row, runs)),
        "messages" => Some(messages::child(options, row, runs)),
        #[cfg(feature = "durable")]
        "durable" => Some(durable::child(options, row, runs)),
        _ => None,
    };
    if section == Some(true) {
        return ExitCode::SUCCESS;
    }
    let find = |all: Vec<Workload>| all.into_iter().find(|other| other.name == workload);
    let Some(workload) = find(workload::all(options.quick)).map(Arc::new) else {
        eprintln!("there is no workload {workload}");
        return ExitCode::from(2);
    };
    let Some(row) = rows::of(&workload).into_iter().find(|other| other.name == row) else {
        eprintln!("there is no row {row}");
        return ExitCode::from(2);
    };
    println!("{}", measure::child(&workload, &row, runs));
    ExitCode::SUCCESS
}
