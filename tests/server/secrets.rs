//! Secrets that the server keeps: given, used, and never shown.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flowserver::documents::{Execution, Page, SecretSummary};
use serde_json::{Value as Json, json};

use crate::site::{Site, command};

impl Site {
    /// Gives a secret its value.
    #[track_caller]
    pub(crate) fn give(&self, name: &str, value: &str) -> SecretSummary {
        let request = self.request("PUT", &format!("/api/v1/secrets/{name}"));
        let answer = request.json(&json!({"value": value})).send();
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        answer.read()
    }

    fn secrets(&self) -> Vec<SecretSummary> {
        let page: Page<SecretSummary> = self.get("/api/v1/secrets").expect(200).read();
        page.items
    }
}

/// Says whether a secret has a value, and nothing of it.
fn is(value: &str) -> Json {
    let condition = format!("secrets.token == '{value}'");
    json!({
        "id": "is",
        "nodes": [
            {"id": "yes", "node_type": "debug.log", "config": {"message": "yes"}, "when": condition},
        ],
        "outputs": {"is": "{{ nodes.yes.message | default('no') }}"},
    })
}

/// Whether the secret `token` has this value for an execution.
fn has(site: &Site, value: &str) -> bool {
    let body = json!({"workflow": is(value)});
    let ended: Execution = site.post("/api/v1/executions?wait=60s", &body).expect(200).read();
    assert_eq!(ended.status, "Succeeded", "{ended:?}");
    ended.outputs["is"] == "yes"
}

#[test]
fn s47_a_value_is_shown_to_no_role_and_the_fingerprint_says_when_it_is_another() {
    let site = Site::new();
    let put = |name: &str, body: &Json| {
        site.request("PUT", &format!("/api/v1/secrets/{name}")).json(body).send()
    };
    let first: SecretSummary = put("token", &json!({"value": "s3cret-one"})).expect(201).read();
    let second: SecretSummary = put("token", &json!({"value": "s3cret-two"})).expect(200).read();
    let again: SecretSummary = put("token", &json!({"value": "s3cret-one"})).expect(200).read();
    assert_eq!((first.version, second.version, again.version), (1, 2, 3));
    assert_eq!(first.fingerprint, again.fingerprint);
    assert_ne!(first.fingerprint, second.fingerprint);
    assert_eq!(first.fingerprint.len(), 4);
    assert_eq!(site.secrets(), [again]);
    for role in ["viewer", "operator", "editor", "admin"] {
        let listed = site.bare("GET", "/api/v1/secrets").token(&site.token_of(role)).send();
        let text = listed.expect(200).text();
        assert!(text.contains("token") && !text.contains("s3cret"), "{text}");
    }
    // There is no route that could show one.
    assert_eq!(site.get("/api/v1/secrets/token").status, 405);
    for number in 0..3 {
        site.give(&format!("k{number}"), "v");
    }
    let page: Page<SecretSummary> = site.get("/api/v1/secrets?limit=2").expect(200).read();
    let cursor = page.next_cursor.unwrap();
    let rest = site.get(&format!("/api/v1/secrets?limit=2&cursor={cursor}")).expect(200);
    let rest: Page<SecretSummary> = rest.read();
    let names: Vec<&str> = page.items.iter().chain(&rest.items).map(|one| &*one.name).collect();
    assert_eq!((names, rest.next_cursor), (vec!["k0", "k1", "k2", "token"], None));
    site.request("DELETE", "/api/v1/secrets/token").send().expect(204);
    let gone = site.request("DELETE", "/api/v1/secrets/token").send();
    assert_eq!((gone.status, &*gone.code()), (404, "secret.not_found"));
    for (name, body, code) in [
        ("a-b", json!({"value": "v"}), "secret.bad_name"),
        ("2k", json!({"value": "v"}), "secret.bad_name"),
        ("k", json!({"value": ""}), "secret.bad_value"),
        ("k", json!({"value": "x".repeat((64 << 10) + 1)}), "secret.bad_value"),
        ("k", json!({"value": 1}), "request.invalid"),
        ("k", json!({}), "request.invalid"),
        ("k", json!({"value": "v", "more": 1}), "request.invalid"),
    ] {
        let answer = put(name, &body);
        assert_eq!((answer.status, &*answer.code()), (422, code), "{name}");
    }
    put("k", &json!({"value": "x".repeat(64 << 10)})).expect(201);
}

#[test]
fn an_execution_gets_the_value_of_the_moment_and_a_restart_changes_nothing() {
    let mut site = Site::new();
    site.give("token", "one");
    assert!(has(&site, "one"));
    site.give("token", "two");
    assert!(has(&site, "two") && !has(&site, "one"));
    // One that waits gets the value of the moment at which it goes on, also after a crash.
    let waits = json!({"workflow": {"nodes": [
        {"id": "paid", "node_type": "wait.signal"},
        {"id": "yes", "node_type": "debug.log", "config": {"message": "yes"},
         "when": "nodes.paid.payload is defined and secrets.token == 'three'"},
    ]}});
    let accepted = site.post("/api/v1/executions", &waits).expect(202).json();
    let id = accepted["id"].as_str().unwrap().to_owned();
    site.until(&id, "NodeWaiting");
    site.give("token", "three");
    site.kill();
    site.start(&[]);
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["nodes"]["yes"]["status"], "Succeeded");
    assert!(has(&site, "three"));
    site.request("DELETE", "/api/v1/secrets/token").send().expect(204);
    let body = json!({"workflow": is("three")});
    let ended: Execution = site.post("/api/v1/executions?wait=60s", &body).expect(200).read();
    assert_eq!(ended.error.unwrap().code, "expression.undefined");
}

#[test]
fn s49_a_secret_of_another_project_is_not_there_and_saving_warns_of_it() {
    let site = Site::new();
    let theirs = crate::projects::project(&site, "theirs");
    let put = site.bare("PUT", "/api/v1/secrets/token").token(&theirs);
    put.json(&json!({"value": "theirs"})).send().expect(201);
    let validate = || site.post("/api/v1/workflows/validate", &is("theirs")).expect(200).json();
    let found = validate();
    assert_eq!(found["valid"], true);
    let [problem] = found["diagnostics"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(
        (&problem["code"], &problem["severity"]),
        (&json!("secret.unknown"), &json!("warning"))
    );
    assert_eq!(problem["pointer"], "/nodes/0/when");
    // It may come until the workflow runs.
    site.post("/api/v1/workflows", &is("theirs")).expect(201);
    let run = |token: &str| -> Execution {
        let request = site.bare("POST", "/api/v1/executions?wait=60s").token(token);
        request.json(&json!({"workflow": is("theirs")})).send().expect(200).read()
    };
    assert_eq!(run(&site.token()).error.unwrap().code, "expression.undefined");
    assert_eq!(run(&theirs).outputs["is"], "yes");
    site.give("token", "mine");
    assert_eq!(validate()["diagnostics"], json!([]));
    assert!(has(&site, "mine"));
}

#[test]
fn s48_the_server_leaves_no_core_dump() {
    let site = Site::new();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", site.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}

/// Why a server does not start.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = command(data).args(["--bind", "127.0.0.1:0"]).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    // One clear line.
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    text
}

fn write_key(path: &Path, byte: u8) {
    std::fs::write(path, [byte; 32]).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn s46_without_its_key_the_server_does_not_start_and_makes_no_other() {
    let mut site = Site::new();
    // Also when there is no secret yet: the store remembers its key.
    site.kill();
    let (data, key) = (site.data(), site.data().join("flow.db.key"));
    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let text = refused(&data, &[]);
    assert!(text.contains("missing") && text.contains("--sealing-key") && !key.exists(), "{text}");
    write_key(&key, 7);
    let text = refused(&data, &[]);
    assert!(text.contains("flow.db.key is not the sealing key"), "{text}");
    std::fs::write(&key, "too short").unwrap();
    assert!(refused(&data, &[]).contains("32 bytes"));
    std::fs::write(&key, &right).unwrap();
    for mode in [0o640, 0o604] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let text = refused(&data, &[]);
        assert!(text.contains("chmod 600") && text.contains("flow.db.key"), "{text}");
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    // The key may be elsewhere, and is then named.
    let elsewhere = data.join("elsewhere");
    std::fs::rename(&key, &elsewhere).unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    let absent = refused(&data, &["--sealing-key", "absent.key"]);
    assert!(absent.contains("absent.key"), "{absent}");
    site.start(&["--sealing-key", elsewhere]);
    site.give("token", "s3cret");
    assert!(has(&site, "s3cret"));
}

#[test]
fn s46_the_key_is_changed_under_load_and_nothing_fails() {
    let mut site = Site::new();
    site.give("token", "s3cret");
    // What is sealed in the journal of one that waits is opened after all of it.
    let waits = json!({"workflow": {"nodes": [
        {"id": "made", "node_type": "transform.base64", "config": {"input": "{{ secrets.token }}"}},
        {"id": "paid", "node_type": "wait.signal", "when": "nodes.made.output is defined"},
        {"id": "yes", "node_type": "debug.log", "config": {"message": "yes"},
         "when": "nodes.paid.payload is defined and nodes.made.output == 'czNjcmV0'"},
    ]}});
    let accepted = site.post("/api/v1/executions", &waits).expect(202).json();
    let id = accepted["id"].as_str().unwrap().to_owned();
    site.until(&id, "NodeWaiting");
    let key = site.data().join("flow.db.key");
    let before = std::fs::read(&key).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|client| {
                let (site, is_over) = (&site, &is_over);
                scope.spawn(move || {
                    let mut count = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        site.give(&format!("own{client}"), &format!("v{count}"));
                        assert!(has(site, "s3cret"));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for _ in 0..3 {
            let rotated = command(&site.data()).args(["secrets", "rotate-key"]).output().unwrap();
            assert!(rotated.status.success(), "{rotated:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(clients.into_iter().map(|client| client.join().unwrap()).sum::<i32>() > 0);
    });
    assert_ne!(std::fs::read(&key).unwrap(), before);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!site.data().join("flow.db.key.new").exists());
    site.kill();
    let after = std::fs::read(&key).unwrap();
    std::fs::write(&key, &before).unwrap();
    assert!(refused(&site.data(), &[]).contains("is not the sealing key"));
    std::fs::write(&key, &after).unwrap();
    site.start(&[]);
    assert!(has(&site, "s3cret"));
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["nodes"]["yes"]["status"], "Succeeded");
    let log = site.get("/api/v1/audit?all=true&limit=500").expect(200).json();
    let rotations = log["items"].as_array().unwrap().iter();
    let rotations = rotations.filter(|row| row["entry"]["action"] == "sealing-key.rotate");
    assert_eq!(rotations.count(), 3);
}

#[test]
fn s46_a_change_of_the_key_that_was_cut_off_is_done_to_its_end() {
    let mut site = Site::new();
    site.give("token", "s3cret");
    site.kill();
    let (data, key) = (site.data(), site.data().join("flow.db.key"));
    let old = std::fs::read(&key).unwrap();
    let rotate = |arguments: &[&str]| {
        command(&data).args(["secrets", "rotate-key"]).args(arguments).output().unwrap()
    };
    assert!(rotate(&[]).status.success());
    let new = std::fs::read(&key).unwrap();
    // As if it had ended between the store and the file.
    std::fs::write(&key, &old).unwrap();
    let draft = data.join("flow.db.key.new");
    write_key(&draft, 0);
    std::fs::write(&draft, &new).unwrap();
    assert!(refused(&data, &[]).contains("rotate-key"));
    assert!(rotate(&[]).status.success());
    assert_eq!(std::fs::read(&key).unwrap(), new);
    // A key that is named is changed to one that is named.
    let named = data.join("own.key");
    write_key(&named, 9);
    assert!(rotate(&["--new-key", named.to_str().unwrap()]).status.success());
    assert!(refused(&data, &[]).contains("is not the sealing key"));
    let named = named.to_str().unwrap();
    let output = rotate(&["--sealing-key", named]);
    assert!(output.status.code() == Some(78), "{output:?}");
    site.start(&["--sealing-key", named]);
    assert!(has(&site, "s3cret"));
}

#[test]
fn a_secret_of_the_environment_is_there_for_all_and_one_that_is_kept_wins() {
    let mut site = Site::new();
    site.kill();
    site.start_with(&[], &[("FLOW_SECRET_TOKEN", "outside")]);
    let theirs = crate::projects::project(&site, "theirs");
    let run = || -> Execution {
        let request = site.bare("POST", "/api/v1/executions?wait=60s").token(&theirs);
        request.json(&json!({"workflow": is("outside")})).send().expect(200).read()
    };
    assert_eq!(run().outputs["is"], "yes");
    assert!(site.secrets().is_empty());
    site.give("token", "kept");
    assert!(has(&site, "kept"));
    assert_eq!(run().outputs["is"], "yes");
}
