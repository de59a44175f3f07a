//! Loading: from JSON text to a plan that can run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowcore::{Execution, Workflow};
use flowruntime::FlowRuntime;
use serde_json::json;

use crate::flow;
use crate::options::Options;
use crate::report::Report;
use crate::targets;
use crate::workload::{Work, all};

/// Times reading and checking the layered workflow of 10,000 nodes.
pub fn run(options: &Options, report: &mut Report) {
    let layered = all(options.quick).into_iter().find(|workload| workload.name == "layered");
    let workload = Arc::new(layered.expect("it is in the list"));
    let text = flow::workflow_text(workload.graph());
    let mut times: Vec<(Duration, Duration)> = Vec::new();
    for _ in 0..options.runs {
        // A new runtime each time: it keeps the plans of workflows that it knows.
        let registry = flow::registry(Work::Add, Execution::Inline);
        let runtime = FlowRuntime::builder().registry(registry).build().expect("good settings");
        let began = Instant::now();
        let workflow = Workflow::from_json(&text).expect("the file is good");
        let read = began.elapsed();
        let plan = runtime.plan(&workflow).expect("the workflow is good");
        times.push((began.elapsed(), read));
        assert_eq!(plan.graph().len(), workload.graph().len());
        assert_eq!(plan.graph().connection_count(), workload.graph().edge_count());
    }
    times.sort_unstable();
    let (median, read) = times[times.len() / 2];
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    report.table(
        "load: JSON text of 10,000 nodes and 30,000 connections to a plan",
        &["text", "total", "of it reading", "best", "target", ""],
    );
    let what = format!("load: {:.0} ms of {}", millis(median), targets::LOAD_MILLIS);
    let verdict = report.target(what, millis(median) <= targets::LOAD_MILLIS);
    let cells = [
        format!("{:.1} MB", text.len() as f64 / 1e6),
        format!("{:.1} ms", millis(median)),
        format!("{:.1} ms", millis(read)),
        format!("{:.1} ms", millis(times[0].0)),
        format!("{} ms", targets::LOAD_MILLIS),
        verdict,
    ];
    let figures = json!({
        "workload": "load", "bytes": text.len(), "millis": millis(median),
        "read_millis": millis(read), "target_millis": targets::LOAD_MILLIS,
    });
    report.line(&cells, figures);
}
