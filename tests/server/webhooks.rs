//! Webhooks: requests of other systems start executions.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowserver::documents::{Page, Trigger, Webhook};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::client::{Answer, Request};
use crate::site::Site;

const KEY: &[u8] = b"24 bytes, as is the rule";

/// A workflow that gives what its webhook was sent.
fn echo(id: &str, trigger: Json) -> Json {
    let mut own = json!({"id": "hook", "type": "webhook", "path": id});
    own.as_object_mut().unwrap().extend(trigger.as_object().unwrap().clone());
    json!({
        "id": id,
        "inputs": {
            "body": {}, "query": {"default": {}}, "headers": {"default": {}},
            "method": {"type": "string", "default": ""},
        },
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "{{ inputs.body }}"}}],
        "outputs": {
            "body": "{{ nodes.say.message }}",
            "query": "{{ inputs.query }}",
            "method": "{{ inputs.method }}",
            "tag": "{{ inputs.headers['x-tag'] | default(none) }}",
            "authorization": "{{ inputs.headers.authorization | default(none) }}",
        },
        "triggers": [own],
    })
}

pub(crate) fn save(site: &Site, workflow: &Json) {
    site.post("/api/v1/workflows", workflow).expect(201);
}

/// The addresses of all webhooks, by workflow.
fn webhooks(site: &Site) -> Vec<Webhook> {
    site.get("/api/v1/webhooks").expect(200).read::<Page<Webhook>>().items
}

pub(crate) fn url(site: &Site, workflow: &str) -> String {
    let all = webhooks(site);
    let found = all.iter().find(|webhook| webhook.workflow_id == workflow).unwrap();
    found.url.clone().unwrap()
}

pub(crate) fn post(site: &Site, url: &str, body: &Json) -> Answer {
    site.bare("POST", url).json(body).send()
}

pub(crate) fn id_of(accepted: &Answer) -> String {
    accepted.json()["id"].as_str().unwrap().to_owned()
}

fn whsec(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signature(key: &[u8], id: &str, at: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A signed message.
fn signed(site: &Site, url: &str, id: &str, at: u64, body: &str) -> Request {
    let request = site.bare("POST", url).text(body).header("content-type", "application/json");
    let request = request.header("webhook-id", id).header("webhook-timestamp", &at.to_string());
    request.header("webhook-signature", &signature(KEY, id, at, body))
}

#[test]
fn a_request_becomes_the_inputs_of_an_execution() {
    let site = Site::new();
    save(&site, &echo("orders", json!({})));
    let url = url(&site, "orders");
    let request = site.bare("POST", &format!("{url}?a=1&a=2&b=x%20y")).json(&json!({"n": 7}));
    let request = request.header("x-tag", "red").header("authorization", "Bearer not-for-you");
    let accepted = request.send().expect(202);
    let id = id_of(&accepted);
    assert_eq!(accepted.headers["location"], format!("/api/v1/executions/{id}"));
    let ended = site.end_of(&id);
    let expected = json!({
        "body": {"n": 7}, "query": {"a": ["1", "2"], "b": "x y"}, "method": "POST", "tag": "red",
        "authorization": null,
    });
    assert_eq!((&ended["outputs"], &ended["version"]), (&expected, &json!(1)), "{ended}");
    // What opens the address is in no journal, no log and no audit log.
    let key = url.rsplit('/').next().unwrap();
    let journal = site.get(&format!("/api/v1/executions/{id}/journal")).expect(200).text();
    let audit = site.get("/api/v1/audit").expect(200).text();
    assert!(audit.contains("webhook.start") && audit.contains("orders.hook"), "{audit}");
    for text in [journal, audit, site.log()] {
        assert!(!text.contains(key) && !text.contains("not-for-you"), "{text}");
    }
    let again = || site.bare("POST", &url).json(&json!(1)).header("idempotency-key", "k");
    let first = id_of(&again().send().expect(202));
    assert_eq!(id_of(&again().json(&json!(2)).send().expect(202)), first);
}

#[test]
fn inputs_are_what_the_trigger_makes_of_a_request() {
    let site = Site::new();
    let mut workflow = echo(
        "mapped",
        json!({
            "method": ["PUT", "GET"],
            "respond": "outputs",
            "inputs": {"body": "{{ request.query.id if request.method == 'GET' else request.body.items[0].id }}", "method": "fixed"},
        }),
    );
    workflow["outputs"] = json!({"id": "{{ inputs.body }}", "fixed": "{{ inputs.method }}"});
    save(&site, &workflow);
    let url = url(&site, "mapped");
    let put = site.bare("PUT", &url).json(&json!({"items": [{"id": 7}]})).send().expect(200);
    assert_eq!(put.json(), json!({"id": 7, "fixed": "fixed"}));
    let get = site.bare("GET", &format!("{url}?id=8")).send().expect(200);
    assert_eq!(get.json(), json!({"id": "8", "fixed": "fixed"}));
    // A repetition waits for the same execution, and is answered the same.
    let again = || site.bare("PUT", &url).json(&json!({"items": [{"id": 9}]}));
    for _ in 0..2 {
        let answer = again().header("idempotency-key", "once").send().expect(200);
        assert_eq!(answer.json()["id"], 9);
    }
    let none = site.bare("GET", &url).send();
    assert_eq!(none.status, 422, "{none:?}");
    assert!(none.code().starts_with("expression."), "{none:?}");
    assert_eq!(site.executions_of("mapped").len(), 3);
}

#[test]
fn s41_an_address_that_is_wrong_in_any_way_is_as_if_it_were_not_there() {
    let site = Site::new();
    save(&site, &echo("there", json!({})));
    save(&site, &echo("off", json!({"enabled": false})));
    save(&site, &echo("signed", json!({"secret": "hook"})));
    let (there, off) = (url(&site, "there"), url(&site, "off"));
    let (path, key) = there.rsplit_once('/').unwrap();
    assert!(key.len() >= 22, "{key}");
    let absent = site.bare("POST", "/hooks/nothing/here").json(&json!({})).send();
    assert_eq!((absent.status, &*absent.code()), (404, "webhook.not_found"));
    let wrong_key = format!("{path}/{}", "A".repeat(key.len()));
    let longer = format!("{there}x");
    for url in [path, &wrong_key, &longer, &off, "/hooks/signed/x", "/hooks//", "/hooks/%74here"] {
        let answer = post(&site, url, &json!({}));
        assert_eq!((answer.status, &answer.body), (404, &absent.body), "{url}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let answer = site.bare(method, &there).send();
        assert_eq!((answer.status, &answer.body), (404, &absent.body), "{method}");
    }
    // What is asked for is known before anything of the body is read.
    let endless = site.bare("POST", &wrong_key).header("content-length", "104857600");
    assert_eq!(endless.send().status, 404);
    for workflow in ["there", "off", "signed"] {
        assert!(site.executions_of(workflow).is_empty(), "{workflow}");
    }
    // The addresses are for those who may change workflows.
    let operator = site.token_of("operator");
    site.bare("GET", "/api/v1/webhooks").token(&operator).send().expect(403);
    assert!(
        !site
            .bare("GET", "/api/v1/triggers")
            .token(&operator)
            .send()
            .expect(200)
            .text()
            .contains(key)
    );
}

#[test]
fn s41_a_signed_message_starts_one_execution_and_a_changed_one_none() {
    let site = Site::with_secrets(&[], &[("hook", &whsec(KEY))]);
    save(&site, &echo("signed", json!({"secret": "hook"})));
    let url = url(&site, "signed");
    assert_eq!(url, "/hooks/signed");
    let (now, body) = (seconds(), r#"{"files":{"x":{"filepath":"/etc/passwd"}}}"#);
    let good = |id: &str| signed(&site, &url, id, now, body);
    let refused = |request: Request| {
        let answer = request.send();
        assert_eq!((answer.status, &*answer.code()), (401, "webhook.bad_signature"));
    };
    refused(good("m0").text(&body.replace("x", "y")));
    refused(good("m0").header("webhook-id", "m1"));
    refused(good("m0").header("webhook-signature", &signature(b"other", "m0", now, body)));
    refused(good("m0").header("webhook-signature", ""));
    refused(site.bare("POST", &url).text(body).header("content-type", "application/json"));
    for at in [now - 600, now + 600] {
        refused(signed(&site, &url, "m0", at, body));
    }
    assert!(site.executions_of("signed").is_empty());

    let first = good("m1").send().expect(202);
    let id = id_of(&first);
    // Sent again later: with another time, and so another signature, and other headers.
    let again = signed(&site, &url, "m1", now - 1, body).header("x-tag", "retry").send();
    assert_eq!(id_of(&again.expect(202)), id);
    assert_eq!(site.executions_of("signed").len(), 1);
    let ended = site.end_of(&id);
    assert_eq!(ended["outputs"]["body"], json!({"files": {"x": {"filepath": "/etc/passwd"}}}));
    // A sender that changes its secret signs with both.
    let both =
        format!("{} {}", signature(b"new", "m2", now, body), signature(KEY, "m2", now, body));
    good("m2").header("webhook-signature", &both).send().expect(202);
}

#[test]
fn s24_who_sends_many_bad_signatures_has_to_wait_and_a_good_one_does_not() {
    let site = Site::with_secrets(&[], &[("hook", &whsec(KEY))]);
    save(&site, &echo("signed", json!({"secret": "hook"})));
    let bad = || signed(&site, "/hooks/signed", "m", 1, "{}").send();
    let answers: Vec<_> = (0..30).map(|_| bad()).collect();
    let last = &answers[29];
    assert_eq!((last.status, &*last.code()), (429, "auth.too_many_failures"));
    assert!(last.headers["retry-after"].parse::<u64>().unwrap() >= 1);
    signed(&site, "/hooks/signed", "m", seconds(), "{}").send().expect(202);
}

#[test]
fn a_webhook_whose_secret_is_not_there_refuses_everything() {
    let site = Site::with_secrets(&[], &[("plain", "text")]);
    save(&site, &echo("none", json!({"secret": "hook"})));
    save(&site, &echo("plain", json!({"secret": "plain"})));
    let problems: Vec<_> = webhooks(&site).into_iter().map(|one| one.problem.unwrap()).collect();
    assert_eq!(problems[0], "there is no secret `hook`");
    assert!(problems[1].contains("whsec_"), "{problems:?}");
    for path in ["/hooks/none", "/hooks/plain"] {
        let answer = signed(&site, path, "m", seconds(), "{}").send();
        assert_eq!((answer.status, &*answer.code()), (401, "webhook.bad_signature"));
    }
    assert!(site.log().contains("no such secret signs webhooks"), "{}", site.log());
}

#[test]
fn s17_s18_s19_bodies_are_bounded_and_not_compressed() {
    let site = Site::new();
    save(&site, &echo("bodies", json!({})));
    let url = url(&site, "bodies");
    let post = || site.bare("POST", &url);
    let json = |text: &str| post().text(text).header("content-type", "application/json");
    for (request, status, code) in [
        (json(&format!("\"{}\"", "a".repeat(1 << 20))), 413, "request.too_large"),
        (post().header("content-length", "1048577"), 413, "request.too_large"),
        (json("{}").header("content-encoding", "gzip"), 415, "request.content_type"),
        (json(&"[".repeat(100_000)), 400, "request.too_deep"),
        (json("{"), 400, "request.bad_json"),
        // A body is needed here, as the workflow has no default for it.
        (post(), 422, "inputs.invalid"),
    ] {
        let answer = request.send();
        assert_eq!((answer.status, &*answer.code()), (status, code), "{answer:?}");
    }
    assert!(site.executions_of("bodies").is_empty());
    let just = json(&format!("\"{}\"", "a".repeat((1 << 20) - 2)));
    just.send().expect(202);
}

#[test]
fn edits_and_what_operators_say_hold_at_once() {
    let site = Site::new();
    save(&site, &echo("edited", json!({})));
    let first = url(&site, "edited");
    let ask = |url: &str| post(&site, url, &json!({})).status;
    assert_eq!(ask(&first), 202);
    let tell = |what: &str| {
        let path = format!("/api/v1/triggers/edited/hook/{what}");
        site.post(&path, &json!({})).expect(200).read::<Trigger>()
    };
    assert!(!tell("disable").is_enabled);
    assert_eq!(ask(&first), 404);
    let mut workflow = echo("edited", json!({"path": "other"}));
    let put = |workflow: &Json, version: u64| {
        let put = site.request("PUT", "/api/v1/workflows/edited");
        put.header("if-match", &format!("\"{version}\"")).json(workflow).send().expect(200);
    };
    put(&workflow, 1);
    // What was said holds for later versions, and so does the key.
    let second = url(&site, "edited");
    assert_eq!(second, first.replace("/hooks/edited/", "/hooks/other/"));
    assert_eq!((ask(&first), ask(&second)), (404, 404));
    let enabled = tell("enable");
    assert_eq!((&*enabled.kind, &*enabled.on, enabled.version), ("webhook", "other", 2));
    assert_eq!((ask(&first), ask(&second)), (404, 202));

    let rotated = site.post("/api/v1/webhooks/edited/hook/rotate", &json!({})).expect(200);
    let third = rotated.read::<Webhook>().url.unwrap();
    assert_ne!(third, second);
    assert_eq!((ask(&second), ask(&third)), (404, 202));
    // A trigger that was gone is a new one.
    workflow["triggers"] = json!([]);
    put(&workflow, 2);
    assert_eq!((ask(&third), webhooks(&site)), (404, vec![]));
    put(&echo("edited", json!({"path": "other"})), 3);
    let fourth = url(&site, "edited");
    assert_ne!(fourth, third);
    assert_eq!((ask(&third), ask(&fourth)), (404, 202));
    site.request("DELETE", "/api/v1/workflows/edited").send().expect(204);
    assert_eq!((ask(&fourth), webhooks(&site)), (404, vec![]));
    let audit = site.get("/api/v1/audit?limit=500").expect(200).text();
    for action in ["trigger.disable", "trigger.enable", "webhook.rotate", "webhook.start"] {
        assert!(audit.contains(action), "{action}");
    }
}

#[test]
fn a_path_belongs_to_one_workflow() {
    let site = Site::new();
    save(&site, &echo("mine", json!({"path": "orders"})));
    let address = url(&site, "mine");
    let taken = site.post("/api/v1/workflows", &echo("yours", json!({"path": "orders"})));
    assert_eq!((taken.status, &*taken.code()), (409, "webhook.path_taken"));
    site.get("/api/v1/workflows/yours").expect(404);
    // Nobody takes it by an edit either, and its owner may save as often as it likes.
    save(&site, &echo("yours", json!({"path": "other"})));
    let put = |id: &str, version: &str| {
        let put = site.request("PUT", &format!("/api/v1/workflows/{id}"));
        put.header("if-match", version).json(&echo(id, json!({"path": "orders"}))).send()
    };
    assert_eq!(put("yours", "\"1\"").code(), "webhook.path_taken");
    put("mine", "*").expect(200);
    put("mine", "\"2\"").expect(200);
    assert_eq!(put("mine", "\"1\"").code(), "workflow.version_conflict");
    assert_eq!(url(&site, "mine"), address);
    site.request("DELETE", "/api/v1/workflows/mine").send().expect(204);
    put("yours", "*").expect(200);
    assert_eq!(post(&site, &url(&site, "yours"), &json!({})).status, 202);
    assert_eq!(post(&site, &address, &json!({})).status, 404);
    let unknown = site.post("/api/v1/webhooks/yours/none/rotate", &json!({}));
    assert_eq!((unknown.status, &*unknown.code()), (404, "webhook.unknown"));
    let unknown = site.post("/api/v1/triggers/yours/none/enable", &json!({}));
    assert_eq!((unknown.status, &*unknown.code()), (404, "trigger.not_found"));
}

#[test]
fn addresses_and_what_was_said_outlive_the_server() {
    let mut site = Site::new();
    save(&site, &echo("kept", json!({})));
    save(&site, &echo("off", json!({})));
    let urls = [url(&site, "kept"), url(&site, "off")];
    site.post("/api/v1/triggers/off/hook/disable", &json!({})).expect(200);
    site.kill();
    site.start(&[]);
    assert_eq!([url(&site, "kept"), url(&site, "off")], urls);
    assert_eq!(urls.map(|url| post(&site, &url, &json!({})).status), [202, 404]);
}
