//! Two servers on one PostgreSQL database: any of them serves any request.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::feed;
use crate::site::Site;

/// Two servers on tables of their own; `None` where PostgreSQL is not installed.
fn two(name: &str) -> Option<[Site; 2]> {
    let postgres = testkit::postgres()?;
    let url = format!("{}?schema={name}&lease_ms=2000", postgres.url());
    Some([(), ()].map(|()| Site::with(&["--store", &url])))
}

/// How long something may take to be known elsewhere.
const SOON: Duration = Duration::from_secs(1);

/// Asks until something holds; it has to hold soon.
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
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
