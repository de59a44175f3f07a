//! Under which key results are cached, and what the machine says of a result that was.

use flowcore::machine::Outcome;
use flowcore::{
    CacheSpec, CacheUse, Effect, Event, NodeOutput, NodeSpec, Object, Secrets, Value, Workflow,
};

use crate::nodes::descriptor;
use crate::stage::{Stage, node, plan, workflow};

/// A node whose result is cached.
fn pure(id: &str) -> NodeSpec {
    node(id).effect(Effect::Pure).cache(CacheSpec::new(1_000))
}

fn by(id: &str, key: &str) -> NodeSpec {
    node(id).effect(Effect::Pure).cache(CacheSpec::new(1_000).key(key))
}

/// The key of the node `b` of a workflow, once `a` gave `x`.
#[track_caller]
fn key(flow: &Workflow) -> Option<String> {
    let mut stage = Stage::new(flow);
    stage.play("a ok x");
    key_of(&stage).unwrap()
}

fn key_of(stage: &Stage) -> Result<Option<String>, String> {
    let instance = stage.machine.find_address("b").unwrap();
    let prepared = stage.machine.prepare(instance, stage.moment()).unwrap();
    let key = stage.machine.cache_key(instance, &prepared);
    key.map(|key| key.map(|key| key.to_string())).map_err(|error| error.code().to_owned())
}

fn flow(b: NodeSpec, links: &[&str]) -> Workflow {
    workflow([node("a"), b], links)
}

#[test]
fn a_key_never_changes() {
    let b = || pure("b").config_value("n", 1).config_value("list", Value::Null);
    let pinned = "1c09ca218955175fa890fbc99a136d45ac2ac69fbf6b4decb41dc162b4ecef9a";
    assert_eq!(key(&flow(b(), &["a.x > b.a"])).as_deref(), Some(pinned));
    let pinned = "764ad188c6e97107f315d8a97ffd76f085ca36c346b38f26f5fc1c76bf016170";
    assert_eq!(key(&flow(by("b", "nodes.a.x"), &["a.x > b.a"])).as_deref(), Some(pinned));
}

#[test]
fn the_key_is_the_same_exactly_when_the_node_is_given_the_same() {
    let key = |b: NodeSpec, links: &[&str]| key(&flow(b, links)).unwrap();
    let plain = key(pure("b").config_value("n", 1), &["a.x > b.a"]);
    let same = [
        (pure("b").config_value("n", "{{ 2 - 1 }}"), vec!["a.x > b.a"]),
        (pure("b").config_value("n", 1).config_value("a", "a.x"), vec!["a > b"]),
        (pure("b").config_value("n", 1).config_value("a", "{{ nodes.a.x }}"), vec![]),
        (pure("b").config_value("n", 1).timeout_ms(7), vec!["a.x > b.a"]),
    ];
    for (b, links) in same {
        assert_eq!(key(b.clone(), &links), plain, "{b:?}");
    }
    let needing = NodeSpec { node_type: "waiting.needing".into(), ..pure("b") };
    let others = [
        (pure("b").config_value("n", "{{ 1.0 }}"), vec!["a.x > b.a"]),
        (pure("b").config_value("n", "1"), vec!["a.x > b.a"]),
        (pure("b").config_value("m", 1), vec!["a.x > b.a"]),
        (pure("b"), vec!["a.x > b.a"]),
        (pure("b").config_value("n", 1), vec!["a.x > b.b"]),
        (pure("b").config_value("n", 1), vec!["a > b"]),
        (pure("b").config_value("n", 1).config_value("b", 1), vec!["a.x > b.a"]),
        (needing.config_value("n", 1).config_value("need", 1), vec!["a.x > b.a"]),
        (by("b", "nodes.a.x").config_value("n", 1), vec!["a.x > b.a"]),
    ];
    for (b, links) in others {
        assert_ne!(key(b.clone(), &links), plain, "{b:?}");
    }
}

#[test]
fn the_version_of_the_node_type_is_in_the_key() {
    let key = |version: u32| {
        let mut registry = flowcore::NodeRegistry::new();
        let descriptor = descriptor("waiting", false).version(version);
        registry.register_async(descriptor, |_| async { unreachable!("never run") });
        let plan = flowcore::compile(&flow(pure("b"), &["a.x > b.a"]), &registry).plan.unwrap();
        let mut stage = Stage::of_plan(plan, Secrets::default());
        stage.play("a ok x");
        key_of(&stage).unwrap().unwrap()
    };
    assert_eq!(key(1), key(1));
    assert_ne!(key(1), key(2));
}

#[test]
fn with_a_key_only_its_value_counts() {
    let key = |b: NodeSpec| key(&flow(b, &["a.x > b.a"])).unwrap();
    let plain = key(by("b", "nodes.a.x"));
    assert_eq!(key(by("b", "'a.' ~ 'x'").config_value("n", 1)), plain);
    assert_ne!(key(by("b", "nodes.a.x ~ '!'")), plain);
}

#[test]
fn what_comes_from_a_secret_is_not_cached() {
    let secrets = || Secrets::new([("token".to_owned(), Value::from("abc"))]);
    let key = |b: NodeSpec| {
        let mut stage = Stage::of_plan(plan(&flow(b, &["a.x > b.a"])), secrets());
        stage.play("a ok x");
        key_of(&stage)
    };
    assert_eq!(key(pure("b").config_value("n", "{{ secrets.token }}")), Ok(None));
    assert_eq!(key(pure("b").config_value("b", "{{ secrets.token }}")), Ok(None));
    assert_eq!(key(by("b", "secrets.token")), Ok(None));
    assert_eq!(key(by("b", "1").config_value("n", "{{ secrets.token }}")), Ok(None));
    assert!(key(by("b", "1")).unwrap().is_some());
}

#[test]
fn a_key_that_fails_is_an_error() {
    let mut stage = Stage::new(&flow(by("b", "nodes.a.y ~ 'x'"), &["a.x > b.a"]));
    stage.play("a ok x");
    assert_eq!(key_of(&stage), Err("expression.undefined".to_owned()));
}

#[test]
fn whether_a_result_was_cached_is_in_the_event_and_in_the_result() {
    for (cache, word) in
        [(None, None), (Some(CacheUse::Miss), Some("miss")), (Some(CacheUse::Hit), Some("hit"))]
    {
        let mut stage = Stage::new(&workflow([pure("a")], &[]));
        let (outputs, state_writes) = (NodeOutput::of("x", 1), Object::new());
        stage.end("a", Outcome::Succeeded { outputs, state_writes, cache });
        let found = stage.events.iter().find_map(|record| match &record.event {
            Event::NodeCompleted { cache, .. } => Some(*cache),
            _ => None,
        });
        assert_eq!(found, Some(cache));
        assert_eq!(stage.result().node("a").unwrap().cache, cache);
        let json = serde_json::to_value(stage.result()).unwrap();
        assert_eq!(json["nodes"]["a"].get("cache").and_then(|cache| cache.as_str()), word);
    }
}
