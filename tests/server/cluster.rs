//! Two servers on one PostgreSQL database: any of them serves any request.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::feed;
use crate::site::{Site, command};

/// The URL of tables of their own; `None` where PostgreSQL is not installed.
pub(crate) fn tables(name: &str) -> Option<String> {
    let postgres = testkit::postgres()?;
    Some(format!("{}?schema={name}&lease_ms=2000", postgres.url()))
}

/// Two servers on tables of their own.
fn two(name: &str) -> Option<[Site; 2]> {
    two_with(name, &[])
}

/// Two of them with these arguments.
pub(crate) fn two_with(name: &str, arguments: &[&str]) -> Option<[Site; 2]> {
    let url = tables(name)?;
    let arguments = [&["--store", &url], arguments].concat();
    Some([(), ()].map(|()| Site::with(&arguments)))
}

/// How long something may take to be known elsewhere.
const SOON: Duration = Duration::from_secs(1);

/// Asks until something holds; it has to hold soon.
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        // On a busy machine the server may be slow, but not for ever.
        assert!(began.elapsed() < SOON * 20, "{what}");
        std::thread::yield_now();
    }
}

fn says(text: &str) -> Json {
    json!({
        "id": "greeting",
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": text}}],
        "outputs": {"said": "{{ nodes.say.message }}"},
    })
}

#[test]
fn what_one_server_is_told_the_other_knows() {
    let Some([one, other]) = two("flow_told") else { return };
    one.post("/api/v1/workflows", &says("one")).expect(201);
    let said = |site: &Site| {
        let answer = site.post("/api/v1/workflows/greeting/execute?wait=60s", &json!({}));
        (answer.status, answer.json()["outputs"]["said"].clone())
    };
    assert_eq!(said(&other), (200, json!("one")));
    let replace = one.request("PUT", "/api/v1/workflows/greeting").header("if-match", "\"1\"");
    replace.json(&says("two")).send().expect(200);
    assert_eq!(said(&one), (200, json!("two")));
    soon("the other server knows the new version", || said(&other) == (200, json!("two")));
    // An edit of an old version is refused, whoever is asked.
    let late = other.request("PUT", "/api/v1/workflows/greeting").header("if-match", "\"1\"");
    assert_eq!(late.json(&says("late")).send().expect(412).code(), "workflow.version_conflict");

    // S7: a token that is taken back on one is worth nothing on the other within a second.
    let given = one.post("/api/v1/tokens", &json!({"name": "x", "role": "viewer"})).expect(201);
    let given = given.json();
    let token = given["token"].as_str().unwrap();
    let status = |site: &Site| site.bare("GET", "/api/v1/nodes").token(token).send().status;
    soon("the token is known elsewhere", || status(&other) == 200);
    let id = given["id"].as_str().unwrap();
    one.request("DELETE", &format!("/api/v1/tokens/{id}")).send().expect(204);
    assert_eq!(status(&one), 401);
    soon("the token is worth nothing elsewhere", || status(&other) == 401);
}

#[test]
fn an_execution_is_followed_and_told_things_from_anywhere() {
    let Some([one, other]) = two("flow_followed") else { return };
    one.save("waits", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = one.execute("waits", json!({}));
    other.until(&id, "NodeWaiting");
    other.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    assert_eq!(one.end_of(&id)["status"], "Succeeded");
    assert_eq!(other.end_of(&id), one.end_of(&id));
}

#[test]
fn executions_move_when_a_server_dies() {
    let Some([mut one, other]) = two("flow_moves") else { return };
    let log = |id: &str| json!({"id": id, "node_type": "debug.log", "config": {"message": id}});
    let delay = json!({"id": "wait", "node_type": "time.delay", "config": {"delay_ms": 300}});
    one.save("steps", json!([log("a"), delay, log("b")]));
    let token = one.token();
    // While it is killed, both are given work.
    let accepted: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = [(&one, true), (&other, false)]
            .into_iter()
            .map(|(site, is_killed)| {
                let token = token.clone();
                scope.spawn(move || {
                    let mut accepted = Vec::new();
                    for number in 0..60 {
                        let request = site.bare("POST", "/api/v1/workflows/steps/execute");
                        let request = request.token(&token).json(&json!({}));
                        let Ok(answer) = request.try_send() else { break };
                        if answer.status == 202 {
                            accepted.push(answer.json()["id"].as_str().unwrap().to_owned());
                        }
                        if number == 30 && is_killed {
                            site.signal("KILL");
                        }
                    }
                    accepted
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    one.wait();
    assert!(accepted.len() > 60, "{}", accepted.len());
    for id in &accepted {
        let ended = other.end_of(id);
        assert_eq!(ended["status"], "Succeeded", "{ended}");
        let journal = other.get(&format!("/api/v1/executions/{id}/journal")).expect(200).json();
        let completed = |node: &str| {
            let events = journal["items"].as_array().unwrap().iter();
            events.filter(|e| e["type"] == "NodeCompleted" && e["node_id"] == node).count()
        };
        assert_eq!((completed("a"), completed("b")), (1, 1), "{id}");
    }
}

#[test]
fn s46_two_servers_share_a_key_and_one_with_another_does_not_start() {
    let Some(postgres) = testkit::postgres() else { return };
    let url = format!("{}?schema=flow_keys&lease_ms=2000", postgres.url());
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str, byte: u8| {
        let path = folder.path().join(name);
        std::fs::write(&path, [byte; 32]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let [right, wrong, new] = [("right", 1), ("wrong", 2), ("new", 3)].map(|(n, b)| key(n, b));
    let with = |key: &str| Site::with(&["--store", &url, "--sealing-key", key]);
    let without = Site::with(&["--store", &url]);
    let put = without.request("PUT", "/api/v1/secrets/token").json(&json!({"value": "v"})).send();
    assert_eq!((put.status, &*put.code()), (409, "secret.no_sealing_key"));
    drop(without);
    let [one, other] = [with(&right), with(&right)];
    let refused = |arguments: &[&str]| {
        let data = folder.path().join("data");
        let store = ["--bind", "127.0.0.1:0", "--store", &url];
        let output = command(&data).args(store).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--sealing-key", &wrong]).contains("is not the sealing key"));
    assert!(refused(&[]).contains("its sealing key is missing"));
    one.give("token", "s3cret");
    let said = json!({"workflow": {
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "yes"},
            "when": "secrets.token == 's3cret'"}],
    }});
    soon("the other server has the secret", || {
        let ended = other.post("/api/v1/executions?wait=60s", &said).expect(200).json();
        ended["nodes"]["say"]["status"] == "Succeeded"
    });
    // Both go on with the old key until they start again.
    let rotate = ["secrets", "rotate-key", "--store", &url, "--sealing-key", &right];
    let rotated = command(folder.path()).args(rotate).args(["--new-key", &new]).output().unwrap();
    assert!(rotated.status.success(), "{rotated:?}");
    one.give("more", "v");
    assert!(refused(&["--sealing-key", &right]).contains("is not the sealing key"));
    drop(one);
    let again = with(&new);
    let ended = again.post("/api/v1/executions?wait=60s", &said).expect(200).json();
    assert_eq!(ended["nodes"]["say"]["status"], "Succeeded");
    // What they told executions is in the log, each in a chain of its own.
    again.save("waits", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = again.execute("waits", json!({}));
    other.until(&id, "NodeWaiting");
    other.post(&format!("/api/v1/executions/{id}/pause"), &json!({})).expect(202);
    again.post(&format!("/api/v1/executions/{id}/cancel"), &json!({})).expect(202);
    let log = again.get("/api/v1/audit").expect(200).json();
    let of = |action: &str| {
        let rows = log["items"].as_array().unwrap().iter();
        rows.filter(|row| row["entry"]["action"] == action && row["entry"]["subject"] == *id)
            .count()
    };
    assert_eq!((of("execution.pause"), of("execution.cancel")), (1, 1));
    let verify = ["audit", "verify", "--store", &url];
    let verified = command(folder.path()).args(verify).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// A workflow with a webhook whose request waits for a signal, and a trigger for events.
fn listens() -> Json {
    json!({
        "id": "listens",
        "nodes": [
            {"id": "go", "node_type": "wait.signal"},
            {"id": "answer", "node_type": "webhook.respond", "config": {"body": "done"}},
        ],
        "connections": [{"from_node": "go", "to_node": "answer"}],
        "triggers": [
            {"id": "hook", "type": "webhook", "path": "listens", "respond": "node", "timeout_ms": 600_000},
            {"id": "on", "type": "event", "topic": "a"},
        ],
    })
}

#[test]
fn triggers_hold_on_every_server() {
    let Some([one, other]) = two("flow_triggers") else { return };
    let mut workflow = listens();
    workflow["triggers"][0] = json!({"id": "hook", "type": "webhook", "path": "listens"});
    one.post("/api/v1/workflows", &workflow).expect(201);
    let url = |site: &Site| {
        let listed = site.get("/api/v1/webhooks").expect(200).json();
        listed["items"][0]["url"].as_str().unwrap().to_owned()
    };
    let first = url(&other);
    assert_eq!(url(&one), first);
    let ask = |site: &Site, url: &str| site.bare("POST", url).json(&json!({})).send().status;
    assert_eq!((ask(&other, &first), ask(&one, &first)), (202, 202));
    let listeners = |site: &Site| {
        let published = site.post("/api/v1/events", &json!({"topic": "a"})).expect(202).json();
        published["deliveries"].as_array().unwrap().len()
    };
    assert_eq!((listeners(&one), listeners(&other)), (1, 1));
    for (what, status, count) in [("disable", 404, 0), ("enable", 202, 1)] {
        one.post(&format!("/api/v1/triggers/listens/hook/{what}"), &json!({})).expect(200);
        one.post(&format!("/api/v1/triggers/listens/on/{what}"), &json!({})).expect(200);
        assert_eq!(ask(&one, &first), status);
        soon("what one was told of a webhook, the other knows", || ask(&other, &first) == status);
        assert_eq!((listeners(&one), listeners(&other)), (count, count));
    }
    other.post("/api/v1/webhooks/listens/hook/rotate", &json!({})).expect(200);
    let second = url(&one);
    assert_eq!((ask(&one, &second), ask(&one, &first), ask(&other, &first)), (202, 404, 404));
    // Two servers that save the same path: one of them may.
    let save = |site: &Site, id: &str| {
        let mut workflow = listens();
        (workflow["id"], workflow["triggers"][0]["path"]) = (json!(id), json!("both"));
        site.post("/api/v1/workflows", &workflow).status
    };
    let mut saved = std::thread::scope(|scope| {
        let clients =
            [(&one, "x"), (&other, "y")].map(|(site, id)| scope.spawn(move || save(site, id)));
        clients.map(|client| client.join().unwrap())
    });
    saved.sort_unstable();
    assert_eq!(saved, [201, 409]);
}

#[test]
fn a_webhook_that_waits_is_answered_by_whoever_goes_on() {
    let Some([mut one, other]) = two("flow_waits") else { return };
    one.post("/api/v1/workflows", &listens()).expect(201);
    let url = other.get("/api/v1/webhooks").expect(200).json()["items"][0]["url"].clone();
    let request = |site: &Site| {
        let request = site.bare("POST", url.as_str().unwrap()).json(&json!({}));
        request.header("idempotency-key", "once")
    };
    let first = request(&one);
    let first = std::thread::spawn(move || first.try_send());
    let mut id = String::new();
    soon("the execution waits", || {
        let all = other.executions_of("listens");
        let waiting = all.iter().find(|one| one["status"] == "Waiting");
        waiting.is_some_and(|one| {
            id = one["id"].as_str().unwrap().to_owned();
            true
        })
    });
    let second = request(&other);
    let second = std::thread::spawn(move || second.send());
    one.kill();
    assert!(first.join().unwrap().is_err());
    other.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({})).expect(202);
    assert_eq!(second.join().unwrap().expect(200).text(), "done");
    assert_eq!(other.executions_of("listens").len(), 1);
}

#[test]
fn s21_odd_values_are_the_same_in_postgresql() {
    let Some([one, _]) = two("flow_odd") else { return };
    crate::resources::odd_values(&one);
}

#[test]
fn events_of_all_servers_are_heard_on_each() {
    let Some([one, other]) = two("flow_heard") else { return };
    one.post("/api/v1/workflows", &says("hello")).expect(201);
    let mut heard_here = feed::listen(&one, "");
    let mut heard_there = feed::listen(&other, "");
    let ids: Vec<String> = (0..10).map(|_| one.execute("greeting", json!({}))).collect();
    for (site, heard) in [(&one, &mut heard_here), (&other, &mut heard_there)] {
        let heard = feed::by_execution(&feed::until_ends(heard, 10));
        for id in &ids {
            assert_eq!(heard[id], feed::journal(site, id));
        }
    }
    // A cursor of one server is good on the other.
    let cursor = cursor_of(&one);
    let late = one.execute("greeting", json!({}));
    one.end_of(&late);
    let again = other.request("GET", &format!("/api/v1/events?after={cursor}")).listen();
    let missed: Vec<_> = again.take_while(|event| event.name != "Listening").collect();
    assert_eq!(feed::by_execution(&missed)[&late], feed::journal(&one, &late));
}

/// A cursor of this moment.
fn cursor_of(site: &Site) -> String {
    let mut events = site.request("GET", "/api/v1/events").listen();
    events.next().unwrap().cursor.unwrap()
}
