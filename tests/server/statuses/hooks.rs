//! Webhooks: the same for each method.

use serde_json::{Value as Json, json};

use super::Asks;
use crate::webhooks::{save, url};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A workflow whose webhook takes all methods.
fn listener(id: &str, node: &Json, more: Json) -> Json {
    let mut trigger = json!({"id": "hook", "type": "webhook", "path": id, "method": METHODS, "respond": "outputs"});
    trigger.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"id": id, "nodes": [node], "triggers": [trigger]})
}

fn waits() -> Json {
    json!({"id": "go", "node_type": "wait.signal"})
}

fn says() -> Json {
    json!({"id": "say", "node_type": "debug.log", "config": {"message": "x"}})
}

/// A webhook that refuses everything: the secret that signs its requests is not there.
pub(super) fn save_signed(api: Asks<'_>) {
    save(api.site, &listener("signed", &says(), json!({"secret": "hook"})));
}

pub(super) fn save_all(api: Asks<'_>) {
    save_signed(api);
    let accepted = json!({"respond": "accepted"});
    let mut open = listener("open", &says(), accepted.clone());
    open["inputs"] = json!({"body": {}});
    let fail = json!({"id": "no", "node_type": "control.fail", "config": {"message": "no"}});
    let mut late = listener("late", &waits(), json!({}));
    late["settings"] = json!({"max_execution_time_ms": 50});
    let mut alone = listener("alone", &waits(), accepted);
    alone["settings"] = json!({"concurrency": {"limit": 1, "on_limit": "skip"}});
    let tea = json!({"id": "answer", "node_type": "webhook.respond", "config": {"status": 418}});
    let teapot = listener("teapot", &tea, json!({"respond": "node"}));
    let says = listener("says", &says(), json!({}));
    for workflow in [open, says, listener("fails", &fail, json!({})), late, alone, teapot] {
        save(api.site, &workflow);
    }
}

/// The part of the path of a webhook that is its own.
pub(super) fn path(api: Asks<'_>, workflow: &str) -> String {
    url(api.site, workflow).strip_prefix("/hooks/").unwrap().to_owned()
}

pub(super) fn all(api: Asks<'_>) {
    let [open, says, fails, late, alone, teapot] =
        ["open", "says", "fails", "late", "alone", "teapot"].map(|workflow| path(api, workflow));
    api.bare("hooks.post", &[&alone]).expect(202);
    for method in METHODS {
        let operation = format!("hooks.{}", method.to_ascii_lowercase());
        let ask = |path: &str| api.bare(&operation, &[path]);
        ask("signed").expect(401);
        ask(&open).json(&json!(1)).expect(202);
        let broken = ask(&open).with(|request| request.text("{"));
        broken.header("content-type", "application/json").expect(400);
        ask(&open).header("content-length", "99999999").expect(413);
        ask(&open).json(&json!(1)).header("content-encoding", "gzip").expect(415);
        // The workflow needs a body.
        ask(&open).expect(422);
        ask(&says).expect(200);
        ask(&fails).expect(500);
        ask(&late).expect(504);
        ask(&alone).expect(409);
        // A workflow may say anything.
        ask(&teapot).expect(418);
    }
}
