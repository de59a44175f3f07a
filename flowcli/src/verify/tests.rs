//! The verification, verified: what is sound passes, and each lie and each broken store is named.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::{
    Effect, Execution, NodeDescriptor, NodeOutput, NodeRegistry, Object, Policy, Port, Secrets,
    Source, Timestamp, Value, Workflow, async_trait,
};
use flowruntime::store::{Append, Appended, Kept, MemoryStore, Store, StoreError};
use flowruntime::testing::crash::{self, Crash, Deed, Fault, Faulty, Sent, Twist, Twisted, check};
use flowruntime::testing::{Pins, StandIn};

use super::campaign::Verdict;
use super::cast::Script;
use super::ledger::Ledger;
use super::site::{Left, Order, Seen, SharedFiles};
use super::{Campaign, Finding, Recording, Site, codes, judge};
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

const WORKFLOW: &str = r#"{ "nodes": [
    { "id": "price", "node_type": "pure.inline" },
    { "id": "tax", "node_type": "pure.task" },
    { "id": "pay", "node_type": "once.task" },
    { "id": "go", "node_type": "wait.signal" },
    { "id": "mail", "node_type": "idempotent.task",
      "retry_policy": { "max_attempts": 3, "delay_ms": 60000 } },
    { "id": "pause", "node_type": "time.delay", "config": { "delay_ms": 86400000 } }
  ], "connections": [
    { "from_node": "price", "to_node": "tax" }, { "from_node": "tax", "to_node": "pay" },
    { "from_node": "pay", "to_node": "go" }, { "from_node": "go", "to_node": "mail" },
    { "from_node": "mail", "to_node": "pause" } ] }"#;

/// Node types of each effect; `counting.task` says that it is pure, and counts.
fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    for (name, execution, effect) in [
        ("pure.inline", Execution::Inline, Effect::Pure),
        ("pure.task", Execution::Task, Effect::Pure),
        ("once.task", Execution::Task, Effect::Once),
        ("idempotent.task", Execution::Task, Effect::Idempotent),
    ] {
        let descriptor = NodeDescriptor::new(name).execution(execution).effect(effect);
        let descriptor = descriptor.output(Port::new("out"));
        if execution == Execution::Inline {
            registry.register_function(descriptor, |_| Ok(NodeOutput::of("out", 7)));
        } else {
            let act = move |_| async move {
                assert_eq!(effect, Effect::Pure, "it is pinned, so it never runs");
                Ok(NodeOutput::of("out", 8))
            };
            registry.register_async(descriptor, act);
        }
    }
    let count = AtomicUsize::new(0);
    let descriptor = NodeDescriptor::new("counting.task").effect(Effect::Pure);
    registry.register_function(descriptor.output(Port::new("out")), move |_| {
        let count = count.fetch_add(1, Ordering::SeqCst);
        Ok(NodeOutput::of("out", i64::try_from(count).unwrap()))
    });
    registry
}

fn site(text: &str, seen: Seen) -> Site {
    let source = Source::json("workflow.json", text);
    Site {
        registry: registry(),
        policy: Policy::deny_all(),
        secrets: Secrets::default(),
        workflow: Workflow::from_json(text).unwrap(),
        files: SharedFiles::new(WorkflowFiles::new(&source, &WorkflowsArgs::default())),
        seen,
    }
}

fn as_it_is(store: Arc<MemoryStore>) -> Arc<dyn Store> {
    store
}

/// Records a run with pinned nodes.
fn record(site: &Site) -> (Arc<Recording>, Ledger) {
    record_with(site, Pins::new())
}

fn record_with(site: &Site, pins: Pins) -> (Arc<Recording>, Ledger) {
    let error = flowcore::NodeError::retryable("demo.busy", "later");
    let gives = |value: i64| StandIn::gives(NodeOutput::of("out", value));
    let second = std::time::Duration::from_secs(1);
    let pins = pins
        .pin("pay", [gives(1).after(second)])
        .pin("mail", [StandIn::fails(error).after(second), gives(2).after(second)]);
    let id = site.builder().build().unwrap().prepare(&site.workflow, ()).unwrap().id();
    let at = Timestamp::from_millis(1_800_000_000_000);
    let signal =
        Sent { name: "go".into(), key: None, payload: Value::from(5), at: at.after(second * 5) };
    let (inputs, signals) = (Object::new(), [signal]);
    let signals = if site.workflow.nodes.len() > 3 { &signals[..] } else { &[] };
    let order = Order { id, inputs: &inputs, at, signals };
    let (store, ledger) = (Arc::new(MemoryStore::new()), Ledger::default());
    let never = Faulty::new(Fault::DieBefore, usize::MAX);
    let script = Script::Pinned(Arc::new(pins));
    let (left, accepted) =
        site.first(store.clone(), &store, &never, (&script, &ledger), &order).unwrap();
    assert!(matches!(left, Left::Ended) && accepted, "{left:?}");
    let history = site.history(store, id).unwrap().unwrap();
    (Arc::new(Recording::new(history).pinned(&ledger.starts())), ledger)
}

/// The same with another store.
fn on(site: &Site, seen: Seen) -> Site {
    Site {
        registry: site.registry.clone(),
        policy: site.policy.clone(),
        secrets: site.secrets.clone(),
        workflow: site.workflow.clone(),
        files: site.files.clone(),
        seen,
    }
}

fn verify(site: &Site, most: usize) -> Verdict {
    // What is compared with is not broken.
    let whole = on(site, as_it_is);
    let (recording, ledger) = record(&whole);
    let campaign = Campaign::new(&whole, recording.clone(), &ledger, most).unwrap();
    campaign.at(site).run(|_| true).unwrap()
}

#[test]
fn what_is_sound_survives_every_crash() {
    let verdict = verify(&site(WORKFLOW, as_it_is), 3_000);
    assert!(verdict.findings.is_empty(), "{:#?}", verdict.findings);
    assert!(verdict.writes > 15, "{}", verdict.writes);
    assert_eq!((verdict.points, verdict.crashes), (verdict.writes, 3 * verdict.writes));
    // What may not start twice was cut off in some, and ended so.
    assert!(verdict.unknown["pay"] > 0 && verdict.unknown.len() == 1, "{:?}", verdict.unknown);
    assert!(verdict.ran > verdict.crashes && verdict.answered > verdict.crashes, "{verdict:?}");
}

#[test]
fn a_large_workflow_is_crashed_at_points_that_are_spread_evenly() {
    let verdict = verify(&site(WORKFLOW, as_it_is), 12);
    assert!(verdict.crashes <= 12 && verdict.crashes >= 6, "{}", verdict.crashes);
    assert!(verdict.findings.is_empty());
}

#[test]
fn a_node_that_is_not_pure_is_named_and_nothing_that_follows_from_it() {
    let text = r#"{ "nodes": [
        { "id": "count", "node_type": "counting.task" }, { "id": "tax", "node_type": "pure.task" } ],
        "connections": [ { "from_node": "count", "to_node": "tax" } ],
        "outputs": { "n": "{{ nodes.count.out }}" } }"#;
    let verdict = verify(&site(text, as_it_is), 3_000);
    let [finding] = verdict.findings.as_slice() else { panic!("{:#?}", verdict.findings) };
    assert_eq!((finding.code, finding.node.as_deref()), (codes::NOT_PURE, Some("count")));
    assert_eq!(finding.differences[0].message, "expected 0, got 1");
    assert!(finding.crashes > 5 && finding.crash.is_some(), "{finding:?}");
}

#[test]
fn a_pure_node_that_is_pinned_is_not_run() {
    let site = site(WORKFLOW, as_it_is);
    let pin = StandIn::gives(NodeOutput::of("out", "as the test wants it"));
    let (recording, ledger) = record_with(&site, Pins::new().pin("tax", [pin]));
    let campaign = Campaign::new(&site, recording, &ledger, 3_000).unwrap();
    let verdict = campaign.run(|_| true).unwrap();
    assert!(verdict.findings.is_empty() && verdict.crashes > 30, "{:#?}", verdict.findings);
}

/// A store that breaks one promise.
struct Broken(Breach);

#[derive(Clone, Copy)]
enum Breach {
    TailCut,
    RowBehind,
    ValueChanged,
}

#[async_trait]
impl Twist for Broken {
    fn append(
        &self,
        inner: &Arc<dyn Store>,
        mut append: Append,
    ) -> Pin<Box<dyn Future<Output = Result<Appended, StoreError>> + Send>> {
        if matches!(self.0, Breach::RowBehind) && append.progress.status.is_terminal() {
            append.progress.status = flowcore::ExecutionStatus::Running;
        }
        inner.append(append)
    }

    async fn load(
        &self,
        inner: &Arc<dyn Store>,
        id: flowcore::ExecutionId,
    ) -> Result<Option<Kept>, StoreError> {
        let Some(mut kept) = inner.load(id).await? else { return Ok(None) };
        match self.0 {
            Breach::TailCut => drop(kept.segments.pop()),
            Breach::ValueChanged => {
                for segment in &mut kept.segments {
                    let text = String::from_utf8(segment.bytes.clone()).unwrap();
                    segment.bytes = text.replace(r#""out":2"#, r#""out":3"#).into_bytes();
                }
            }
            Breach::RowBehind => {}
        }
        Ok(Some(kept))
    }
}

#[test]
fn broken_stores_are_found() {
    let text = &WORKFLOW.replace("] }", r#"], "outputs": { "n": "{{ nodes.mail.out }}" } }"#);
    let breaches: [(&str, Seen); 3] = [
        ("tail cut", |store| Arc::new(Twisted::new(store, Broken(Breach::TailCut)))),
        ("row behind", |store| Arc::new(Twisted::new(store, Broken(Breach::RowBehind)))),
        ("value changed", |store| Arc::new(Twisted::new(store, Broken(Breach::ValueChanged)))),
    ];
    for (name, seen) in breaches {
        let verdict = verify(&site(text, seen), 3_000);
        assert!(!verdict.findings.is_empty(), "{name} is not found");
        assert!(verdict.findings.iter().all(|finding| finding.code != codes::NOT_PURE), "{name}");
    }
}

/// What is said of starts that should not have been.
#[track_caller]
fn found(deeds: &[(usize, &str, u32, Effect)]) -> Option<Finding> {
    let (recording, _) = record(&site(WORKFLOW, as_it_is));
    let key = |node: &str| format!("{}/1/{node}", recording.id());
    let deeds = deeds.iter().map(|(process, node, attempt, effect)| Deed {
        process: *process,
        key: key(node),
        attempt: *attempt,
        effect: *effect,
    });
    let history = &recording.history;
    let crash = Crash {
        accepted: Some(recording.id()),
        before: vec![history.clone()],
        after: vec![history.clone()],
        deeds: deeds.collect(),
        expected: history,
    };
    let found: Option<crash::Finding> = check(&crash).err();
    found.map(|found| judge::explain(found, Some(history), history))
}

#[test]
fn starts_that_should_not_have_been_are_named() {
    use Effect::{Idempotent, Once};
    let usual = [(0, "pay", 1, Once), (0, "mail", 1, Idempotent), (0, "mail", 2, Idempotent)];
    assert!(found(&usual).is_none());
    for (deed, node, message) in [
        ((1, "pay", 2, Once), "pay", "has the effect `once`, and was started twice"),
        ((1, "mail", 3, Idempotent), "mail", "was finished, and was started again"),
        ((0, "mail", 2, Idempotent), "mail", "attempt 2 was made twice"),
        ((0, "mail", 9, Idempotent), "mail", "was started before that was kept"),
    ] {
        let deeds: Vec<_> = usual.iter().copied().chain([deed]).collect();
        let finding = found(&deeds).unwrap();
        assert_eq!(
            (finding.code, finding.node.as_deref(), finding.message.as_str()),
            (codes::RAN_AGAIN, Some(node), message)
        );
    }
}
