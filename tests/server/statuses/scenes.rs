//! What makes sense to one operation alone: what it does, and what is in its way.

use serde_json::{Value as Json, json};

use super::Asks;
use crate::websocket::handshake;

fn says(id: &str) -> Json {
    let say = json!({"id": "say", "node_type": "debug.log", "config": {"message": "x"}});
    json!({"id": id, "nodes": [say]})
}

/// One of it runs at a time, and does not end by itself.
fn alone(id: &str) -> Json {
    json!({
        "id": id,
        "settings": {"concurrency": {"limit": 1, "on_limit": "skip"}},
        "nodes": [{"id": "go", "node_type": "wait.signal"}],
    })
}

pub(super) fn all(api: Asks<'_>) {
    what_everybody_may_read(api);
    sessions(api);
    workflows(api);
    executions(api);
    an_execution_that_waits_and_ends(api);
    events(api);
    pictures(api);
    schedules_and_triggers(api);
    webhooks(api);
    what_belongs_to_a_project(api);
}

fn what_everybody_may_read(api: Asks<'_>) {
    for open in ["page", "page.script", "page.style", "livez", "healthz", "readyz", "openapi"] {
        api.bare(open, &[]).expect(200);
    }
    api.ask("metrics", &[]).expect(200);
    api.ask("nodes.list", &[]).expect(200);
    api.ask("nodes.get", &["debug.log"]).expect(200);
}

fn sessions(api: Asks<'_>) {
    let sign_in = |token: &str| api.bare("session.create", &[]).json(&json!({"token": token}));
    sign_in("x").expect(401);
    sign_in(&api.site.token()).expect(204);
    api.bare("session.delete", &[]).expect(204);
}

fn workflows(api: Asks<'_>) {
    let create = |workflow: &Json| api.ask("workflows.create", &[]).json(workflow);
    create(&says("one")).expect(201);
    // The same again would be the same; this is another one.
    create(&alone("one")).expect(409);
    api.ask("workflows.validate", &[]).json(&says("one")).expect(200);
    api.ask("workflows.list", &[]).expect(200);
    api.ask("workflows.get", &["one"]).expect(200);
    api.ask("workflows.get", &["one"]).header("if-none-match", "\"1\"").expect(304);
    api.ask("workflows.versions", &["one"]).expect(200);

    let replace = |id: &str| api.ask("workflows.replace", &[id]).json(&says(id));
    replace("one").expect(428);
    replace("one").header("if-match", "\"7\"").expect(412);
    replace("one").header("if-match", "\"1\"").expect(200);
    replace("two").header("if-none-match", "*").expect(201);
    // The path is that of another workflow's webhook.
    let mut taken = says("two");
    taken["triggers"] = json!([{"id": "hook", "type": "webhook", "path": "open"}]);
    replace("two").header("if-match", "\"1\"").json(&taken).expect(409);

    let delete = || api.ask("workflows.delete", &["two"]);
    delete().header("if-match", "one").expect(400);
    delete().header("if-match", "\"7\"").expect(412);
    delete().expect(204);

    let execute = |what: &str, id: &str| api.ask(what, &[id]).json(&json!({}));
    execute("workflows.execute", "one").expect(202);
    execute("workflows.execute?wait=60s", "one").expect(200);
    create(&alone("alone-saved")).expect(201);
    execute("workflows.execute", "alone-saved").expect(202);
    execute("workflows.execute", "alone-saved").expect(409);
}

fn executions(api: Asks<'_>) {
    let create =
        |what: &str, workflow: Json| api.ask(what, &[]).json(&json!({"workflow": workflow}));
    let ended = create("executions.create?wait=60s", says("here")).expect(200).json();
    create("executions.create", alone("alone-here")).expect(202);
    create("executions.create", alone("alone-here")).expect(409);
    api.ask("executions.list", &[]).expect(200);
    let id = ended["id"].as_str().unwrap();
    for read in ["get", "logs", "journal", "export", "events", "graph"] {
        api.ask(&format!("executions.{read}"), &[id]).expect(200);
    }
    let rerun = |what: &str| api.ask(what, &[id]).json(&json!({}));
    rerun("executions.rerun").expect(202);
    rerun("executions.rerun?wait=60s").expect(200);
}

fn an_execution_that_waits_and_ends(api: Asks<'_>) {
    let nodes = json!([
        {"id": "paid", "node_type": "wait.signal"},
        {"id": "ship", "node_type": "wait.approval"},
    ]);
    api.site.save("waits", nodes);
    let id = api.site.execute("waits", json!({}));
    let tell = |what: &str| api.ask(&format!("executions.{what}"), &[&id]);
    let signal = || api.ask("executions.signal", &[&id, "paid"]).json(&json!({}));
    let approve = || api.ask("executions.approve", &[&id, "ship"]).json(&json!({"approved": true}));
    tell("rerun").json(&json!({})).expect(409);
    tell("events.ws").expect(426);
    tell("events.ws").with(handshake).expect(101);
    tell("pause").expect(202);
    tell("resume").expect(202);
    signal().expect(202);
    approve().expect(202);
    api.site.end_of(&id);
    for late in ["cancel", "pause", "resume"] {
        tell(late).expect(409);
    }
    signal().expect(409);
    approve().expect(409);
    let another = api.site.execute("waits", json!({}));
    api.ask("executions.cancel", &[&another]).expect(202);
}

fn events(api: Asks<'_>) {
    assert_eq!(api.ask("events", &[]).status(), 200);
    api.ask("events.ws", &[]).expect(426);
    api.ask("events.ws", &[]).with(handshake).expect(101);
    api.ask("events.publish", &[]).json(&json!({"topic": "a"})).expect(202);
}

/// What has more nodes and connections than may be drawn. Nothing of it runs but the first node.
fn pictures(api: Asks<'_>) {
    let mut nodes = vec![json!({"id": "go", "node_type": "wait.signal"})];
    let mut connections = Vec::new();
    for number in 0..2_500 {
        let id = format!("n{number}");
        connections.push(json!({"from_node": "go", "to_node": id}));
        nodes.push(json!({"id": id, "node_type": "debug.log", "config": {"message": "x"}}));
    }
    let many = json!({"id": "many", "nodes": nodes, "connections": connections});
    api.ask("workflows.create", &[]).json(&many).expect(201);
    let id = api.site.execute("many", json!({}));
    api.ask("workflows.graph", &["many"]).expect(200);
    api.ask("workflows.graph?format=svg", &["many"]).expect(422);
    api.ask("executions.graph?format=svg", &[&id]).expect(422);
}

fn schedules_and_triggers(api: Asks<'_>) {
    let mut yearly = says("yearly");
    yearly["triggers"] = json!([{"id": "due", "type": "cron", "expression": "0 0 1 1 *"}]);
    api.ask("workflows.create", &[]).json(&yearly).expect(201);
    api.ask("schedules.list", &[]).expect(200);
    api.ask("triggers.list", &[]).expect(200);
    for operation in [
        "schedules.get",
        "schedules.runs",
        "schedules.disable",
        "schedules.enable",
        "triggers.disable",
        "triggers.enable",
    ] {
        api.ask(operation, &["yearly", "due"]).expect(200);
    }
}

fn webhooks(api: Asks<'_>) {
    let mut another = says("another");
    another["triggers"] = json!([{"id": "hook", "type": "webhook", "path": "another"}]);
    api.ask("workflows.create", &[]).json(&another).expect(201);
    api.ask("webhooks.list", &[]).expect(200);
    api.ask("webhooks.rotate", &["another", "hook"]).expect(200);
    // Its requests are signed: there is nothing to change in its address.
    api.ask("webhooks.rotate", &["signed", "hook"]).expect(409);
}

fn what_belongs_to_a_project(api: Asks<'_>) {
    let put = || api.ask("secrets.put", &["a_secret"]).json(&json!({"value": "v"}));
    put().expect(201);
    put().expect(200);
    api.ask("secrets.list", &[]).expect(200);
    api.ask("secrets.delete", &["a_secret"]).expect(204);

    let project = || api.ask("projects.create", &[]).json(&json!({"id": "a-project"}));
    project().expect(201);
    project().expect(409);
    api.ask("projects.list", &[]).expect(200);

    let asked = json!({"name": "a viewer", "role": "viewer"});
    let token = api.ask("tokens.create", &[]).json(&asked).expect(201).json();
    api.ask("tokens.list", &[]).expect(200);
    api.ask("tokens.list?project=none", &[]).expect(422);
    api.ask("tokens.revoke", &[token["id"].as_str().unwrap()]).expect(204);
    api.ask("audit.list", &[]).expect(200);
}
