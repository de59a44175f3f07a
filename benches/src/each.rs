//! `control.for_each`: what a scope for each item costs, against the same nodes side by side.

use std::time::Duration;

use flowcore::{Array, Execution, Limits, Object, Value, Workflow};
use flowruntime::FlowRuntime;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::engine::{Meter, Threads, check};
use crate::flow;
use crate::graph::{Graph, PORTS};
use crate::options::Options;
use crate::report::Report;
use crate::targets;
use crate::workload::{Work, add};

/// A workflow that is loaded, and what it is to give.
struct Row {
    name: &'static str,
    runtime: FlowRuntime,
    workflow: Workflow,
    inputs: Object,
    items: u32,
    check: fn(&flowcore::ExecutionResult, u32),
    times: Vec<Duration>,
}

/// What the plain row is called.
const FAN: &str = "1 → items → 1";
/// What the other is called.
const EACH: &str = "control.for_each";

/// How often each row runs in one round.
const REPEAT: usize = 3;

/// Times items of `control.for_each` beside as many plain nodes, in turns.
pub fn run(options: &Options, report: &mut Report) {
    let items = items(options);
    let tokio = Threads::One.runtime();
    let mut rows = [fan(items), each(items)];
    for round in 0..=options.runs * REPEAT {
        for row in &mut rows {
            let time = row.run(&tokio);
            // The first round warms up.
            if round > 0 {
                row.times.push(time);
            }
        }
    }
    let title = format!("each: {items} items of one node, each in a scope of its own");
    report.table(&title, &["workflow", "µs/item", "best", "ratio", "target", ""]);
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(items);
    let mut plain = None;
    for row in &mut rows {
        row.times.sort_unstable();
        let (median, best) = (micros(row.times[row.times.len() / 2]), micros(row.times[0]));
        let ratio = median / *plain.get_or_insert(median);
        let target = (row.name == EACH).then_some(targets::EACH);
        let verdict = target.map(|target| {
            let what = format!("each: {ratio:.2} of {target} × {FAN}");
            report.target(what, ratio <= target)
        });
        let cells = [
            row.name.to_owned(),
            format!("{median:.3}"),
            format!("{best:.3}"),
            format!("{ratio:.2} × {FAN}"),
            target.map_or_else(String::new, |target| format!("{target} × {FAN}")),
            verdict.unwrap_or_default(),
        ];
        let figures = json!({
            "workload": "each", "engine": row.name, "runs": row.times.len(),
            "micros_per_item": median, "best": best, "ratio": ratio, "target_ratio": target,
        });
        report.line(&cells, figures);
    }
}

/// Runs one row, for a profiler; whether there is such a row.
pub fn child(options: &Options, row: &str, runs: usize) -> bool {
    let tokio = Threads::One.runtime();
    let Some(row) =
        [fan, each].map(|row| row(items(options))).into_iter().find(|other| other.name == row)
    else {
        return false;
    };
    for _ in 0..runs {
        row.run(&tokio);
    }
    true
}

fn items(options: &Options) -> u32 {
    if options.quick { 20 } else { 10_000 }
}

/// The nodes side by side.
fn fan(items: u32) -> Row {
    let text = flow::workflow_text(&Graph::fan(items));
    let inputs = Object::from_entries([(PORTS[0], Value::from(0_u64))]).expect("it is flat");
    Row::load(FAN, &text, inputs, items, |result, items| {
        check(&Graph::fan(items), 0, |node| {
            result.outputs.get(&format!("n{node}"))?.get("out")?.as_u64()
        });
    })
}

/// A scope for each.
fn each(items: u32) -> Row {
    let body = json!({
        "nodes": [{ "id": "one", "node_type": flow::ONE, "config": { PORTS[0]: "{{ item }}" } }],
        "outputs": "{{ nodes.one.out }}",
    });
    let config = json!({ "items": "{{ inputs.items }}", "max_concurrency": items, "body": body });
    let text = json!({
        "inputs": { "items": { "type": "array" } },
        "nodes": [{ "id": "each", "node_type": EACH, "config": config }],
        "outputs": { "results": "{{ nodes.each.results }}" },
    });
    let numbers = Array::from_values((0..items).map(|item| Value::from(u64::from(item))));
    let inputs = [("items", Value::from(numbers.expect("it is flat")))];
    let inputs = Object::from_entries(inputs).expect("it is flat");
    Row::load(EACH, &text.to_string(), inputs, items, |result, items| {
        let results = result.outputs.get("results").and_then(Value::as_array);
        let results = results.into_iter().flatten().map(Value::as_u64);
        assert!(results.eq((0..items).map(|item| Some(add([u64::from(item)])))), "in their order");
    })
}

impl Row {
    fn load(
        name: &'static str,
        text: &str,
        inputs: Object,
        items: u32,
        check: fn(&flowcore::ExecutionResult, u32),
    ) -> Self {
        let runtime = FlowRuntime::builder()
            .registry(flow::registry(Work::Add, Execution::Inline))
            .limits(Limits::none())
            .build()
            .expect("the settings are good");
        let workflow = Workflow::from_json(text).expect("the file is good");
        runtime.plan(&workflow).expect("the workflow is good");
        Self { name, runtime, workflow, inputs, items, check, times: Vec::new() }
    }

    fn run(&self, tokio: &Runtime) -> Duration {
        let (sample, result) = tokio.block_on(async {
            let meter = Meter::start();
            let result = self.runtime.execute(&self.workflow, self.inputs.clone()).await;
            (meter.stop(), result.expect("it is not lost"))
        });
        assert!(result.is_success(), "{:?}", result.status);
        (self.check)(&result, self.items);
        sample.time
    }
}
