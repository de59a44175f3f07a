//! What is heard of executions, wherever they run and whoever is slow.

use flowcore::{
    ExecutionId, NodeDescriptor, NodeOutput, NodeRegistry, NodeSpec, Port, Workflow, WorkflowId,
};
use flowruntime::store::{MemoryStore, Store};
use flowruntime::{ExecutionHandle, FlowRuntime};

use super::*;
use crate::app::now;

/// A store, and runtimes that execute from it.
struct Stage {
    store: Arc<dyn Store>,
}

impl Stage {
    fn new() -> Self {
        Self { store: Arc::new(MemoryStore::new()) }
    }

    /// A runtime whose subscribers may be this many events behind.
    fn runtime(&self, event_capacity: usize) -> FlowRuntime {
        let mut registry = NodeRegistry::new();
        let descriptor = NodeDescriptor::new("text.hello").output(Port::new("text"));
        registry.register_function(descriptor, |_| Ok(NodeOutput::of("text", "hello")));
        let runtime = FlowRuntime::builder().registry(registry).store(self.store.clone());
        runtime.event_capacity(event_capacity).build().unwrap()
    }

    fn feeds(&self, runtime: &FlowRuntime, is_shared: bool, capacity: usize) -> Feeds {
        let capacity = Capacity { events: capacity, bytes: 1 << 20 };
        Feeds::new(runtime.clone(), self.store.clone(), is_shared, capacity, now)
    }
}

fn hello(id: &str) -> Workflow {
    let mut workflow = Workflow::new(id);
    workflow.add_node(NodeSpec::new("a", "text.hello"));
    workflow.add_node(NodeSpec::new("b", "text.hello"));
    workflow
}

fn waits(id: &str) -> Workflow {
    let mut workflow = hello(id);
    let node = NodeSpec::new("wait", "wait.signal");
    workflow.add_node(node);
    workflow
}

fn project(id: &str) -> ProjectId {
    ProjectId::new(id).unwrap()
}

async fn start(runtime: &FlowRuntime, workflow: &Workflow, of: &ProjectId) -> ExecutionHandle {
    let prepared = runtime.prepare(workflow, ()).unwrap();
    prepared.project(of.clone()).start().await.unwrap()
}

/// What was heard: of each execution the numbers of its events, in order.
#[derive(Default)]
struct Ear(HashMap<ExecutionId, Vec<u64>>, Option<Cursor>);

impl Ear {
    fn note(&mut self, told: &Told) {
        self.0.entry(told.execution).or_default().push(told.seq);
        self.1 = Some(told.cursor);
        let json: serde_json::Value = serde_json::from_str(&told.text).unwrap();
        assert_eq!(json["seq"], told.seq);
        assert_eq!(json["execution_id"], told.execution.to_string());
        assert_eq!(json["workflow_id"], told.workflow.to_string());
        assert_eq!(json["cursor"], told.cursor.to_string());
    }

    /// Listens until it hears of so many ends.
    async fn hear(&mut self, reader: &mut Reader, ends: usize) {
        let mut heard = 0;
        while heard < ends {
            match reader.next().await.unwrap().unwrap() {
                Heard::Listening(_) => {}
                Heard::Event(told) => {
                    heard += usize::from(told.name == "WorkflowCompleted");
                    self.note(&told);
                }
                Heard::Gap(_) => panic!("too slow after {heard}"),
            }
        }
    }

    /// Each event of an execution was heard once, in order.
    async fn has_all(&self, stage: &Stage, id: ExecutionId) {
        let last = stage.store.execution(id).await.unwrap().unwrap().last_seq;
        assert_eq!(self.0.get(&id), Some(&(1..=last).collect::<Vec<_>>()), "{id}");
    }
}

#[tokio::test]
async fn those_of_a_project_are_heard_in_order_and_no_others() {
    let stage = Stage::new();
    let runtime = stage.runtime(1024);
    let feeds = stage.feeds(&runtime, false, 1024);
    let (mine, theirs) = (project("mine"), project("theirs"));
    let before = start(&runtime, &hello("w"), &mine).await;
    before.wait().await.unwrap();
    let mut reader = feeds.listen(&mine, Wanted::default(), None).await.unwrap();
    let mut of_other = Wanted { workflow: Some(WorkflowId::new("v").unwrap()), types: Vec::new() };
    let mut only_v = feeds.listen(&mine, of_other.clone(), None).await.unwrap();
    of_other.types = vec!["WorkflowCompleted".to_owned()];
    let mut only_ends = feeds.listen(&mine, of_other, None).await.unwrap();
    let other = start(&runtime, &hello("w"), &theirs).await;
    other.wait().await.unwrap();
    let first = start(&runtime, &hello("w"), &mine).await;
    let second = start(&runtime, &hello("v"), &mine).await;
    let mut ear = Ear::default();
    ear.hear(&mut reader, 2).await;
    ear.has_all(&stage, first.id()).await;
    ear.has_all(&stage, second.id()).await;
    assert_eq!(ear.0.len(), 2);
    let mut ear = Ear::default();
    ear.hear(&mut only_v, 1).await;
    assert_eq!(ear.0.keys().collect::<Vec<_>>(), [&second.id()]);
    ear.has_all(&stage, second.id()).await;
    let mut ear = Ear::default();
    ear.hear(&mut only_ends, 1).await;
    assert_eq!(ear.0[&second.id()].len(), 1);
}

#[tokio::test]
async fn what_another_server_executes_is_heard_too() {
    let stage = Stage::new();
    let (here, there) = (stage.runtime(1024), stage.runtime(1024));
    let feeds = stage.feeds(&here, true, 1024);
    let mine = project("mine");
    let prepared = there.prepare(&waits("w"), ()).unwrap().project(mine.clone());
    let mut events = prepared.events();
    let waiting = prepared.start().await.unwrap();
    while let Some(flowruntime::Received::Event(event)) = events.next().await {
        if event.event().is_some_and(|event| event.name() == "NodeWaiting") {
            break;
        }
    }
    let mut reader = feeds.listen(&mine, Wanted::default(), None).await.unwrap();
    let began = stage.store.execution(waiting.id()).await.unwrap().unwrap().last_seq;
    let started = start(&there, &hello("w"), &mine).await;
    waiting.signal("wait", true).await.unwrap();
    let mut ear = Ear::default();
    ear.hear(&mut reader, 2).await;
    ear.has_all(&stage, started.id()).await;
    // What happened before is not told.
    let last = stage.store.execution(waiting.id()).await.unwrap().unwrap().last_seq;
    assert_eq!(ear.0[&waiting.id()], (began + 1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_bus_could_not_hold_is_read_from_the_store() {
    let stage = Stage::new();
    let runtime = stage.runtime(1);
    let feeds = stage.feeds(&runtime, false, 1024);
    let mine = project("mine");
    let mut reader = feeds.listen(&mine, Wanted::default(), None).await.unwrap();
    let mut handles = Vec::new();
    for _ in 0..20 {
        handles.push(start(&runtime, &hello("w"), &mine).await);
    }
    let mut ear = Ear::default();
    ear.hear(&mut reader, 20).await;
    for handle in handles {
        ear.has_all(&stage, handle.id()).await;
    }
}

#[tokio::test]
async fn f25_who_is_too_slow_is_told_and_hears_the_rest_when_it_comes_again() {
    let stage = Stage::new();
    let runtime = stage.runtime(1024);
    let feeds = stage.feeds(&runtime, false, 16);
    let mine = project("mine");
    let mut slow = feeds.listen(&mine, Wanted::default(), None).await.unwrap();
    let Some(Heard::Listening(cursor)) = slow.next().await.unwrap() else { panic!("no start") };
    let mut handles = Vec::new();
    for _ in 0..20 {
        let handle = start(&runtime, &hello("w"), &mine).await;
        handle.wait().await.unwrap();
        handles.push(handle.id());
    }
    let open = start(&runtime, &waits("w"), &mine).await;
    let Some(Heard::Gap(at)) = slow.next().await.unwrap() else { panic!("no gap") };
    assert_eq!(at, Some(cursor));
    assert!(slow.next().await.unwrap().is_none());
    // It comes again, and is slow once more: what happens while it reads is more than is held for it.
    let mut again = feeds.listen(&mine, Wanted::default(), at).await.unwrap();
    let mut ear = Ear::default();
    let Some(Heard::Event(first)) = again.next().await.unwrap() else { panic!("no event") };
    ear.note(&first);
    for _ in 0..20 {
        let handle = start(&runtime, &hello("w"), &mine).await;
        handle.wait().await.unwrap();
        handles.push(handle.id());
    }
    open.signal("wait", true).await.unwrap();
    open.wait().await.unwrap();
    handles.push(open.id());
    ear.hear(&mut again, 41).await;
    for id in handles {
        ear.has_all(&stage, id).await;
    }
}

#[tokio::test]
async fn a_hub_goes_when_nobody_listens() {
    let stage = Stage::new();
    let runtime = stage.runtime(16);
    let feeds = stage.feeds(&runtime, false, 16);
    let mine = project("mine");
    let reader = feeds.listen(&mine, Wanted::default(), None).await.unwrap();
    assert_eq!(runtime.metrics().bus.subscribers, 1);
    drop(reader);
    tokio::time::pause();
    while runtime.metrics().bus.subscribers > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(feeds.0.channels().is_empty());
    // Another is made when somebody comes.
    let mut reader = feeds.listen(&mine, Wanted::default(), None).await.unwrap();
    let started = start(&runtime, &hello("w"), &mine).await;
    let mut ear = Ear::default();
    ear.hear(&mut reader, 1).await;
    ear.has_all(&stage, started.id()).await;
}
