//! What requests to webhooks are answered.

use serde_json::{Value as Json, json};

use crate::site::Site;
use crate::webhooks::{id_of, post, save, url};

#[test]
fn s16_a_node_answers_with_status_headers_and_body() {
    let site = Site::new();
    let workflow = json!({
        "id": "page",
        "inputs": {"body": {}},
        "nodes": [
            {"id": "answer", "node_type": "webhook.respond", "config": {
                "status": 201,
                "headers": {"Content-Type": "text/html", "Location": "/orders/7"},
                "body": "<script>{{ inputs.body.n }}</script>",
            }},
            {"id": "later", "node_type": "wait.signal", "config": {}},
        ],
        "connections": [{"from_node": "answer", "to_node": "later"}],
        "triggers": [{"id": "hook", "type": "webhook", "path": "page", "respond": "node"}],
    });
    save(&site, &workflow);
    let answer = post(&site, &url(&site, "page"), &json!({"n": 7})).expect(201);
    assert_eq!(answer.text(), "<script>7</script>");
    assert_eq!(answer.headers["content-type"], "text/html");
    assert_eq!(answer.headers["location"], "/orders/7");
    assert!(answer.headers["content-security-policy"].starts_with("sandbox; default-src 'none'"));
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    // The execution goes on.
    let [execution] = &site.executions_of("page")[..] else { panic!() };
    site.post(
        &format!("/api/v1/executions/{}/signals/later", execution["id"].as_str().unwrap()),
        &json!({}),
    )
    .expect(202);
    assert_eq!(site.end_of(execution["id"].as_str().unwrap())["status"], "Succeeded");
}

#[test]
fn what_does_not_come_to_an_answer_is_told_without_the_inside() {
    let site = Site::new();
    let one = |id: &str, respond: &str, nodes: Json| {
        let trigger = json!({"id": "hook", "type": "webhook", "path": id, "respond": respond});
        let mut workflow = json!({"id": id, "nodes": nodes, "triggers": [trigger]});
        if respond != "accepted" {
            workflow["triggers"][0]["timeout_ms"] = json!(if id == "slow" { 50 } else { 60_000 });
        }
        save(&site, &workflow);
        post(&site, &url(&site, id), &json!({}))
    };
    let fail =
        json!([{"id": "no", "node_type": "control.fail", "config": {"message": "s3cret inside"}}]);
    for (id, respond) in [("fails", "outputs"), ("fails-too", "node")] {
        let failed = one(id, respond, fail.clone());
        assert_eq!((failed.status, &*failed.code()), (500, "webhook.not_succeeded"));
        assert!(!failed.text().contains("s3cret"), "{failed:?}");
        assert!(failed.headers["location"].starts_with("/api/v1/executions/"));
    }
    let log = json!([{"id": "a", "node_type": "debug.log", "config": {"message": 1}}]);
    let silent = one("silent", "node", log);
    assert_eq!((silent.status, &*silent.code()), (500, "webhook.no_response"));
    let waits = json!([{"id": "go", "node_type": "wait.signal"}]);
    let slow = one("slow", "outputs", waits).expect(202);
    assert_eq!(slow.headers["location"], format!("/api/v1/executions/{}", id_of(&slow)));
}

#[test]
fn what_comes_from_a_secret_is_not_answered() {
    let site = Site::with_secrets(&[], &[("inside", "s3cret")]);
    for respond in ["outputs", "node"] {
        let workflow = json!({
            "id": respond,
            "nodes": [
                {"id": "log", "node_type": "debug.log", "config": {"message": "{{ secrets.inside }}"}},
                {"id": "answer", "node_type": "webhook.respond",
                 "when": if respond == "node" { "true" } else { "false" },
                 "config": {"body": "so: {{ secrets.inside }}"}},
            ],
            "outputs": {"said": "{{ secrets.inside }}"},
            "triggers": [{"id": "hook", "type": "webhook", "path": respond, "respond": respond}],
        });
        save(&site, &workflow);
    }
    let outputs = post(&site, &url(&site, "outputs"), &json!({})).expect(200);
    assert_eq!(outputs.json(), json!({"said": "•••"}));
    let refused = post(&site, &url(&site, "node"), &json!({}));
    assert_eq!((refused.status, &*refused.code()), (500, "webhook.not_succeeded"));
    let [failed] = &site.executions_of("node")[..] else { panic!() };
    assert_eq!(failed["error"]["code"], "webhook.secret_response");
}

#[test]
fn what_is_in_memory_only_is_answered_too() {
    let site = Site::with(&["--allow-in-memory"]);
    for respond in ["accepted", "outputs", "node"] {
        let workflow = json!({
            "id": respond,
            "nodes": [{"id": "answer", "node_type": "webhook.respond", "config": {"body": "here"}}],
            "outputs": {"said": "{{ nodes.answer.body }}"},
            "triggers": [{"id": "hook", "type": "webhook", "path": respond, "respond": respond}],
            "settings": {"durability": "none"},
        });
        save(&site, &workflow);
    }
    let ask = |id: &str| post(&site, &url(&site, id), &json!({}));
    ask("accepted").expect(202);
    assert_eq!(ask("outputs").expect(200).json(), json!({"said": "here"}));
    assert_eq!(ask("node").expect(200).text(), "here");
}

#[test]
fn f24_an_execution_that_was_cut_off_answers_the_request_that_is_sent_again() {
    let mut site = Site::new();
    let workflow = json!({
        "id": "waits",
        "inputs": {"body": {}},
        "nodes": [
            {"id": "go", "node_type": "wait.signal"},
            {"id": "answer", "node_type": "webhook.respond", "config": {
                "status": 202, "body": "{{ inputs.body }} {{ nodes.go.payload }}",
            }},
        ],
        "connections": [{"from_node": "go", "to_node": "answer"}],
        "triggers": [
            {"id": "hook", "type": "webhook", "path": "waits", "respond": "node", "timeout_ms": 600_000}
        ],
    });
    save(&site, &workflow);
    let url = url(&site, "waits");
    let request = |site: &Site| {
        site.bare("POST", &url).json(&json!("hello")).header("idempotency-key", "once")
    };
    let first = request(&site);
    let client = std::thread::spawn(move || first.try_send());
    let id = loop {
        let all = site.executions_of("waits");
        if let Some(waiting) = all.iter().find(|one| one["status"] == "Waiting") {
            break waiting["id"].as_str().unwrap().to_owned();
        }
        std::thread::yield_now();
    };
    site.kill();
    assert!(client.join().unwrap().is_err());
    site.start(&[]);
    let again = request(&site);
    let client = std::thread::spawn(move || again.send());
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({"payload": "world"}))
        .expect(202);
    let answer = client.join().unwrap().expect(202);
    assert_eq!(answer.text(), "hello world");
    assert_eq!(site.executions_of("waits").len(), 1);
    // Also when it ended long ago.
    assert_eq!(request(&site).send().expect(202).text(), "hello world");
}
