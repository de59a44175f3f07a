//! The audit log: who did what, and whether it is still what was written.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use serde_json::{Value as Json, json};

use crate::client::{Answer, Request};
use crate::site::{Site, command};

fn verify(site: &Site) -> (Option<i32>, String) {
    let Output { status, stdout, stderr, .. } =
        command(&site.data()).args(["audit", "verify"]).stdout(Stdio::piped()).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), text)
}

/// All rows of the log, the newest first.
fn rows(site: &Site) -> Vec<Json> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            site.get(&format!("/api/v1/audit?all=true&limit=500{cursor}")).expect(200).json();
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { return rows };
        cursor = format!("&cursor={next}");
    }
}

fn text(row: &Json, name: &str) -> String {
    row["entry"][name].as_str().unwrap_or_default().to_owned()
}

/// Small numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What a client asks for, and what the log says of it when it was done.
struct Write {
    request: Request,
    action: &'static str,
    /// Known before it is done, or in the answer.
    subject: Option<String>,
}

/// What there is to write on.
#[derive(Default)]
struct World {
    executions: Vec<String>,
    tokens: Vec<String>,
    number: u32,
}

impl World {
    fn next(&mut self, site: &Site, dice: &mut Dice) -> Write {
        self.number += 1;
        let name = format!("x{}", dice.roll(5));
        let workflow = json!({"nodes": [{"id": "paid", "node_type": "wait.signal"}]});
        let known = |action, subject: &str, request| Write {
            request,
            action,
            subject: Some(subject.to_owned()),
        };
        let execution = self.executions.last().cloned().unwrap_or_default();
        let told = |what: &str| {
            let path = format!("/api/v1/executions/{execution}/{what}");
            site.request("POST", &path).json(&json!({}))
        };
        match dice.roll(if self.executions.is_empty() { 6 } else { 10 }) {
            0 => {
                let path = format!("/api/v1/workflows/w{}", self.number);
                let request = site.request("PUT", &path).header("if-none-match", "*");
                known("workflow.replace", &format!("w{}", self.number), request.json(&workflow))
            }
            1 => {
                let path = format!("/api/v1/secrets/{name}");
                let request = site.request("PUT", &path);
                // Whether it is new, the answer says.
                known("secret", &name, request.json(&json!({"value": "v"})))
            }
            2 => known(
                "secret.delete",
                &name,
                site.request("DELETE", &format!("/api/v1/secrets/{name}")),
            ),
            3 => Write {
                request: site
                    .request("POST", "/api/v1/tokens")
                    .json(&json!({"name": "x", "role": "viewer"})),
                action: "token.create",
                subject: None,
            },
            4 => {
                let id = self.tokens.pop().unwrap_or_default();
                known("token.revoke", &id, site.request("DELETE", &format!("/api/v1/tokens/{id}")))
            }
            5 => Write {
                request: site
                    .request("POST", "/api/v1/executions")
                    .json(&json!({"workflow": workflow})),
                action: "execution.start",
                subject: None,
            },
            6 => known("execution.pause", &execution, told("pause")),
            7 => known("execution.resume", &execution, told("resume")),
            8 => known("execution.signal", &execution, told("signals/paid")),
            _ => known("execution.cancel", &execution, told("cancel")),
        }
    }

    /// What the log has to say of an answer.
    fn note(&mut self, write: (&'static str, Option<String>), answer: &Answer) -> (String, String) {
        let id = || answer.json()["id"].as_str().unwrap().to_owned();
        let (action, subject) = write;
        match action {
            "execution.start" => self.executions.push(id()),
            "token.create" => self.tokens.push(id()),
            _ => {}
        }
        let action = match (action, answer.status) {
            ("secret", 201) => "secret.create",
            ("secret", _) => "secret.replace",
            (action, _) => action,
        };
        (action.to_owned(), subject.unwrap_or_else(id))
    }
}

#[test]
fn s50_every_write_that_was_answered_is_in_the_log_once_whatever_is_killed() {
    let mut site = Site::new();
    let (mut dice, mut world) = (Dice(7), World::default());
    let mut expected: BTreeMap<(String, String), u32> = BTreeMap::new();
    let (mut answered, mut lost) = (0, 0);
    for round in 0..4 {
        for _ in 0..60 {
            let Write { request, action, subject } = world.next(&site, &mut dice);
            let answer = request.send();
            if answer.status < 300 {
                answered += 1;
                *expected.entry(world.note((action, subject), &answer)).or_default() += 1;
            } else {
                assert!(matches!(answer.status, 404 | 409), "{answer:?}");
            }
        }
        // Some are under way when the server dies.
        let writes: Vec<Write> = (0..8).map(|_| world.next(&site, &mut dice)).collect();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = writes
                .into_iter()
                .map(|Write { request, action, subject }| {
                    scope.spawn(move || (action, subject, request.try_send()))
                })
                .collect();
            if round < 3 {
                site.signal("KILL");
            }
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        for (action, subject, answer) in answers {
            match answer {
                Ok(answer) if answer.status < 300 => {
                    answered += 1;
                    *expected.entry(world.note((action, subject), &answer)).or_default() += 1;
                }
                Ok(_) => {}
                Err(_) => lost += 1,
            }
        }
        if round < 3 {
            site.wait();
            site.start(&[]);
        }
    }
    let mut found: BTreeMap<(String, String), u32> = BTreeMap::new();
    for row in rows(&site).iter().filter(|row| text(row, "by") == "operator") {
        *found.entry((text(row, "action"), text(row, "subject"))).or_default() += 1;
    }
    let total: u32 = found.values().sum();
    assert!(
        answered > 100 && (answered..=answered + lost).contains(&total),
        "{answered} answers, {lost} lost, {total} rows"
    );
    let mut unknown = 0;
    for (what, count) in &found {
        let told = expected.remove(what).unwrap_or(0);
        assert!(*count >= told, "{what:?}: {count} rows, {told} answers");
        unknown += count - told;
    }
    assert!(expected.is_empty(), "{expected:?}");
    assert_eq!(unknown, total - answered);
    let (code, text) = verify(&site);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the audit log is whole"), "{text}");
}

#[test]
fn s50_what_was_changed_or_removed_is_named() {
    let mut site = Site::new();
    for number in 0..6 {
        let path = format!("/api/v1/secrets/s{number}");
        site.request("PUT", &path).json(&json!({"value": "v"})).send().expect(201);
    }
    let rows = rows(&site);
    let row = rows.iter().find(|row| text(row, "subject") == "s3").unwrap();
    let (chain, number) = (row["chain"].as_str().unwrap(), row["number"].as_u64().unwrap());
    let named = format!("entry {number} of chain {chain}");
    // Beside the server, which goes on.
    assert_eq!(verify(&site).0, Some(0));
    site.get("/readyz").expect(200);
    site.signal("TERM");
    site.wait();
    let file = site.data().join("flow.db");
    let change = |sql: &str| {
        let store = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(store.execute(sql, ()).unwrap(), 1, "{sql}");
    };
    change("UPDATE audit SET body = replace(body, 's3', 'sX') WHERE body LIKE '%\"s3\"%'");
    let (code, text) = verify(&site);
    assert!(code == Some(1) && text.contains(&named), "{text}");
    change("UPDATE audit SET body = replace(body, 'sX', 's3') WHERE body LIKE '%\"sX\"%'");
    assert_eq!(verify(&site).0, Some(0));
    change("DELETE FROM audit WHERE body LIKE '%\"s3\"%'");
    let (code, text) = verify(&site);
    assert!(code == Some(1) && text.contains(&named), "{text}");
}

#[test]
fn a_store_that_is_not_there_is_not_made_to_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = command(&data).args(["audit", "verify"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(78) && text.contains("there is no store"), "{text}");
    assert!(!data.exists());
}

#[test]
fn s50_wrong_tokens_and_what_is_not_allowed_are_counted_in_the_log() {
    let mut site = Site::new();
    let viewer = site.token_of("viewer");
    for _ in 0..30 {
        site.bare("GET", "/api/v1/nodes").token("flw_wrong").send();
        let forbidden = site.bare("DELETE", "/api/v1/secrets/x").token(&viewer).send();
        assert_eq!(forbidden.status, 403);
    }
    // What was not written down by then is when the server stops.
    site.signal("TERM");
    site.wait();
    site.start(&[]);
    let rows = rows(&site);
    let of = |action: &str| -> Vec<&Json> {
        rows.iter().filter(|row| text(row, "action") == action).collect()
    };
    let count = |rows: &[&Json]| -> u64 {
        rows.iter().map(|row| row["entry"]["count"].as_u64().unwrap()).sum()
    };
    let (failed, forbidden) = (of("auth.failed"), of("auth.forbidden"));
    assert_eq!((count(&failed), count(&forbidden)), (30, 30));
    // Many are one entry: the first at once, and the rest together.
    assert!(failed.len() <= 2 && forbidden.len() <= 2, "{failed:?} {forbidden:?}");
    assert_eq!(failed[0]["project"], Json::Null);
    assert!(failed[0]["entry"]["addresses"]["127.0.0.1"].is_u64(), "{failed:?}");
    assert_eq!(forbidden[0]["project"], "default");
    assert_eq!(text(forbidden[0], "by"), "a viewer");
    assert_eq!(text(forbidden[0], "subject"), "DELETE /api/v1/secrets/{name}");
}

#[test]
fn s50_who_told_an_execution_what_is_in_the_log() {
    let site = Site::new();
    site.save("waits", json!([{"id": "ask", "node_type": "wait.approval"}]));
    let id = site.execute("waits", json!({}));
    site.until(&id, "NodeWaiting");
    let path = format!("/api/v1/executions/{id}");
    for what in ["pause", "resume"] {
        site.post(&format!("{path}/{what}"), &json!({})).expect(202);
    }
    let approval = json!({"approved": true, "reason": "for the node only"});
    site.post(&format!("{path}/approvals/ask"), &approval).expect(202);
    site.end_of(&id);
    // What is refused is not done.
    assert_eq!(site.post(&format!("{path}/cancel"), &json!({})).status, 409);
    let log = site.get("/api/v1/audit").expect(200).json();
    let rows: Vec<&Json> =
        log["items"].as_array().unwrap().iter().filter(|row| text(row, "subject") == id).collect();
    let actions: Vec<String> = rows.iter().map(|row| text(row, "action")).collect();
    let expected = ["execution.approve", "execution.resume", "execution.pause", "execution.start"];
    assert_eq!(actions, expected);
    let entry = &rows[0]["entry"];
    assert_eq!((&entry["approval"], &entry["approved"]), (&json!("ask"), &json!(true)));
    assert!(!log.to_string().contains("for the node only"));
}
