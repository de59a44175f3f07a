//! Events: what somebody publishes starts the executions of those who listen.

use flowserver::documents::{Page, Published, Trigger};
use serde_json::{Value as Json, json};

use crate::client::Answer;
use crate::site::Site;

/// A workflow that listens to a topic, and gives what it was told.
fn listener(id: &str, trigger: Json) -> Json {
    let mut own = json!({"id": "on", "type": "event"});
    own.as_object_mut().unwrap().extend(trigger.as_object().unwrap().clone());
    json!({
        "id": id,
        "inputs": {"data": {"default": null}, "topic": {"type": "string", "default": ""}},
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "{{ inputs.data }}"}}],
        "outputs": {"data": "{{ nodes.say.message }}", "topic": "{{ inputs.topic }}"},
        "triggers": [own],
    })
}

fn save(site: &Site, workflow: &Json) {
    site.post("/api/v1/workflows", workflow).expect(201);
}

fn publish(site: &Site, event: &Json) -> Published {
    site.post("/api/v1/events", event).expect(202).read()
}

/// Which workflows were told, and the executions.
fn told(published: &Published) -> Vec<(String, Option<String>)> {
    let all = published.deliveries.iter();
    all.map(|one| (one.workflow_id.clone(), one.execution_id.clone())).collect()
}

#[test]
fn everybody_who_listens_is_told_and_nobody_else() {
    let site = Site::new();
    save(&site, &listener("all", json!({"topic": "*"})));
    save(
        &site,
        &listener("big", json!({"topic": "orders.paid", "when": "event.data.total > 100"})),
    );
    save(&site, &listener("off", json!({"topic": "orders.*", "enabled": false})));
    save(&site, &listener("others", json!({"topic": "orders.sent"})));
    save(
        &site,
        &listener(
            "some",
            json!({
                "topic": "orders.*", "inputs": {"data": "{{ event.data.total * 2 }}", "topic": "{{ event.id }}"},
            }),
        ),
    );
    let event = json!({"topic": "orders.paid", "data": {"total": 50}, "id": "e1"});
    let small = publish(&site, &event);
    assert_eq!((&*small.id, &*small.topic), ("e1", "orders.paid"));
    let told_of = told(&small);
    let names: Vec<_> = told_of.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["all", "some"]);
    let outputs = |published: &Published, place: usize| {
        site.end_of(published.deliveries[place].execution_id.as_deref().unwrap())["outputs"].clone()
    };
    assert_eq!(outputs(&small, 0), json!({"data": {"total": 50}, "topic": "orders.paid"}));
    assert_eq!(outputs(&small, 1), json!({"data": 100, "topic": "e1"}));
    let big = publish(&site, &json!({"topic": "orders.paid", "data": {"total": 500}}));
    assert_eq!(told(&big).len(), 3);
    assert_eq!(told(&publish(&site, &json!({"topic": "nobody.listens"}))).len(), 1);
    let audit = site.get("/api/v1/audit").expect(200).json();
    let entries = audit["items"].as_array().unwrap().iter().map(|one| &one["entry"]);
    let started: Vec<_> = entries.filter(|entry| entry["action"] == "event.start").collect();
    assert_eq!(started.len(), 6);
    assert!(started.iter().all(|entry| entry["by"] == "operator" && entry["topic"].is_string()));
}

#[test]
fn what_operators_say_of_listeners_holds_at_once() {
    let site = Site::new();
    save(&site, &listener("one", json!({"topic": "a"})));
    save(&site, &listener("two", json!({"topic": "a"})));
    let tell = |path: &str| -> Trigger {
        site.post(&format!("/api/v1/triggers/{path}"), &json!({})).expect(200).read()
    };
    let names = || {
        let told = told(&publish(&site, &json!({"topic": "a"})));
        told.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["one", "two"]);
    assert!(!tell("one/on/disable").is_enabled);
    assert_eq!(names(), ["two"]);
    assert!(tell("one/on/enable").is_enabled);
    site.request("DELETE", "/api/v1/workflows/two").send().expect(204);
    assert_eq!(names(), ["one"]);
    // Those of all kinds are in one list.
    let cron = json!({"type": "cron", "expression": "0 0 1 1 *"});
    let mut workflow = listener("one", json!({"topic": "b"}));
    workflow["triggers"].as_array_mut().unwrap().push(cron);
    let put = site.request("PUT", "/api/v1/workflows/one").header("if-match", "*");
    put.json(&workflow).send().expect(200);
    assert!(names().is_empty());
    assert!(!tell("one/1/disable").is_enabled);
    let listed = site.get("/api/v1/triggers").expect(200).read::<Page<Trigger>>();
    let listed: Vec<_> = listed.items.iter().map(|t| (&*t.kind, &*t.on, t.is_enabled)).collect();
    assert_eq!(listed, [("cron", "0 0 1 1 *", false), ("event", "b", true)]);
    let schedule = site.get("/api/v1/schedules/one/1").expect(200).json();
    assert_eq!(schedule["is_enabled"], false);
}

#[test]
fn an_event_that_is_published_again_starts_nothing_twice() {
    let site = Site::new();
    save(&site, &listener("one", json!({"topic": "a"})));
    let event = json!({"topic": "a", "data": 1, "id": "e/1"});
    let first = told(&publish(&site, &event));
    save(&site, &listener("two", json!({"topic": "a"})));
    let second = told(&publish(&site, &event));
    assert_eq!((&second[0], second.len()), (&first[0], 2));
    // Also when the workflow has changed since.
    let put = site.request("PUT", "/api/v1/workflows/one").header("if-match", "*");
    put.json(&listener("one", json!({"topic": "*"}))).send().expect(200);
    assert_eq!(told(&publish(&site, &event)), second);
    for workflow in ["one", "two"] {
        assert_eq!(site.executions_of(workflow).len(), 1, "{workflow}");
    }
}

#[test]
fn who_cannot_be_started_keeps_nobody_else_from_it() {
    let site = Site::new();
    let mut strict = listener("strict", json!({"topic": "a"}));
    strict["inputs"]["data"] = json!({"type": "string"});
    save(&site, &strict);
    save(&site, &listener("b-when", json!({"topic": "a", "when": "event.data.x.y"})));
    save(
        &site,
        &listener("c-inputs", json!({"topic": "a", "inputs": {"data": "{{ event.data.x.y }}"}})),
    );
    save(&site, &listener("willing", json!({"topic": "a"})));
    let published = publish(&site, &json!({"topic": "a", "data": 1}));
    let reasons: Vec<_> = published.deliveries.iter().map(|one| one.reason.clone()).collect();
    assert!(reasons[0].as_deref().unwrap().starts_with("expression."), "{reasons:?}");
    assert!(reasons[1].as_deref().unwrap().starts_with("expression."), "{reasons:?}");
    assert!(reasons[2].as_deref().unwrap().starts_with("inputs.invalid: "), "{reasons:?}");
    assert_eq!((&reasons[3], reasons.len()), (&None, 4));
    site.end_of(published.deliveries[3].execution_id.as_deref().unwrap());
    let audit = site.get("/api/v1/audit").expect(200).text();
    assert_eq!(audit.matches("event.fail").count(), 3);
}

#[test]
fn what_is_no_event_is_refused() {
    let site = Site::new();
    let long = "x".repeat(257);
    for (event, code) in [
        (json!({"topic": "orders.*"}), "event.bad_topic"),
        (json!({"topic": ""}), "event.bad_topic"),
        (json!({"topic": "a", "id": ""}), "event.bad_id"),
        (json!({"topic": "a", "id": "a b"}), "event.bad_id"),
        (json!({"topic": "a", "id": long}), "event.bad_id"),
        (json!({"data": 1}), "request.invalid"),
    ] {
        let refused: Answer = site.post("/api/v1/events", &event);
        assert_eq!((refused.status, &*refused.code()), (422, code), "{event}");
    }
    let viewer = site.token_of("viewer");
    let refused = site.bare("POST", "/api/v1/events").token(&viewer).json(&json!({"topic": "a"}));
    refused.send().expect(403);
}

/// A workflow that publishes, when it is told to.
fn publisher(id: &str, topic: &str) -> Json {
    json!({
        "id": id,
        "nodes": [
            {"id": "go", "node_type": "wait.signal"},
            {"id": "tell", "node_type": "event.publish", "config": {"topic": topic, "data": {"n": 7}}},
        ],
        "connections": [{"from_node": "go", "to_node": "tell"}],
        "outputs": {"deliveries": "{{ nodes.tell.deliveries }}"},
    })
}

#[test]
fn a_node_that_publishes_again_starts_only_what_was_not_started() {
    let site = Site::new();
    save(&site, &publisher("from", "a"));
    save(&site, &listener("one", json!({"topic": "a"})));
    save(&site, &listener("two", json!({"topic": "a"})));
    let id = site.execute("from", json!({}));
    // As an attempt that was cut off after its first listener.
    site.post("/api/v1/triggers/two/on/disable", &json!({})).expect(200);
    let event = json!({"topic": "a", "data": {"n": 7}, "id": format!("{id}/1/tell")});
    let before = told(&publish(&site, &event));
    assert_eq!(before.len(), 1);
    site.post("/api/v1/triggers/two/on/enable", &json!({})).expect(200);
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({})).expect(202);
    let ended = site.end_of(&id);
    let deliveries = ended["outputs"]["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 2, "{ended}");
    assert_eq!(deliveries[0]["execution_id"], json!(before[0].1));
    for (place, workflow) in ["one", "two"].into_iter().enumerate() {
        let all = site.executions_of(workflow);
        assert_eq!(all.len(), 1, "{workflow}");
        assert_eq!(all[0]["id"], deliveries[place]["execution_id"]);
        let ended = site.end_of(all[0]["id"].as_str().unwrap());
        assert_eq!(ended["outputs"], json!({"data": {"n": 7}, "topic": "a"}));
    }
}

#[test]
fn f23_a_server_that_dies_while_it_tells_listeners_tells_each_once() {
    let mut site = Site::new();
    let names: Vec<String> = (0..40).map(|number| format!("l{number:02}")).collect();
    for name in &names {
        save(&site, &listener(name, json!({"topic": "a"})));
    }
    save(&site, &publisher("from", "a"));
    let id = site.execute("from", json!({}));
    site.until(&id, "NodeWaiting");
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({})).expect(202);
    while site.get("/api/v1/executions?limit=2").json()["items"].as_array().unwrap().len() < 2 {
        std::thread::yield_now();
    }
    site.kill();
    site.start(&[]);
    let ended = site.end_of(&id);
    assert_eq!(ended["status"], "Succeeded", "{ended}");
    let deliveries = ended["outputs"]["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), names.len());
    for (name, delivery) in names.iter().zip(deliveries) {
        let all = site.executions_of(name);
        assert_eq!(all.len(), 1, "{name}");
        assert_eq!(
            (&delivery["workflow_id"], &delivery["execution_id"]),
            (&json!(name), &all[0]["id"])
        );
    }
}

#[test]
fn what_comes_from_a_secret_stays_one_in_an_event() {
    let site = Site::with_secrets(&[], &[("inside", "s3cret")]);
    save(&site, &listener("one", json!({"topic": "a", "when": "event.data.key == 's3cret'"})));
    let mut from = publisher("from", "a");
    from["nodes"][1]["config"]["data"] = json!({"key": "{{ secrets.inside }}"});
    save(&site, &from);
    let id = site.execute("from", json!({}));
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    let [told] = &site.executions_of("one")[..] else { panic!() };
    let ended = site.end_of(told["id"].as_str().unwrap());
    assert_eq!(ended["outputs"]["data"], json!({"key": "•••"}), "{ended}");
    assert_eq!(ended["inputs"]["data"], json!({"key": "•••"}), "{ended}");
}

#[test]
fn a_circle_of_events_has_an_end() {
    let site = Site::new();
    let workflow = json!({
        "id": "circle",
        "nodes": [{"id": "tell", "node_type": "event.publish", "config": {"topic": "again"}}],
        "triggers": [{"id": "on", "type": "event", "topic": "again"}],
    });
    save(&site, &workflow);
    site.execute("circle", json!({}));
    let failed = loop {
        let all = site.executions_of("circle");
        if let Some(failed) = all.iter().find(|one| one["status"] == "Failed") {
            break failed.clone();
        }
        std::thread::yield_now();
    };
    assert_eq!(failed["error"]["code"], "event.too_deep", "{failed}");
    assert_eq!(site.executions_of("circle").len(), 17);
    // Running the last one again is one more try, not a way around.
    let path = format!("/api/v1/executions/{}/rerun?wait=60s", failed["id"].as_str().unwrap());
    let again = site.post(&path, &json!({})).expect(200).json();
    assert_eq!(again["error"]["code"], "event.too_deep", "{again}");
}
