//! What every operation answers when PostgreSQL is gone.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::contract::Operation;
use crate::site::Site;
use crate::statuses::{Asks, Seen, sensible, unknown};
use crate::webhooks::url;

/// What works without the store: it is in the binary, or in memory. A new one is written here, after
/// some thought.
const WITHOUT_STORE: [&str; 12] = [
    "page",
    "page.script",
    "page.style",
    "session.create",
    "session.delete",
    "livez",
    "healthz",
    "openapi",
    "metrics",
    "nodes.list",
    "nodes.get",
    "tokens.list",
];

#[test]
fn every_operation_that_needs_the_store_says_that_it_is_gone() {
    let Some(mut postgres) = testkit::Postgres::start() else {
        return testkit::skipped("postgresql");
    };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [1; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let arguments = ["--store", &postgres.url(), "--sealing-key", key.to_str().unwrap()];
    let site = Site::with(&arguments);
    let seen = Seen::new(&site);
    let api = Asks { site: &site, seen: &seen };
    let listens = json!({
        "id": "listens",
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "x"}}],
        "triggers": [{
            "id": "hook", "type": "webhook", "path": "listens",
            "method": ["GET", "POST", "PUT", "PATCH", "DELETE"],
        }],
    });
    site.post("/api/v1/workflows", &listens).expect(201);
    let path = url(&site, "listens").strip_prefix("/hooks/").unwrap().to_owned();
    let asked = json!({"name": "a viewer", "role": "viewer"});
    let token = site.post("/api/v1/tokens", &asked).expect(201).json();
    let token = token["id"].as_str().unwrap();

    postgres.stop();
    // All at once: some give up only after a while.
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let ask = |operation: &Operation| {
            let part = |name: &str| match name {
                "path" => path.clone(),
                "id" if operation.id == "tokens.revoke" => token.to_owned(),
                other => unknown(other),
            };
            let asked = sensible(api, operation, part);
            if operation.id == "events" {
                return asked.status();
            }
            let answer = asked.send();
            if answer.status == 503 {
                let text = answer.text();
                assert!(text.contains("\"store."), "{}: {text}", operation.id);
            }
            answer.status
        };
        let asking: Vec<_> =
            seen.operations().map(|one| (&*one.id, scope.spawn(move || ask(one)))).collect();
        asking.into_iter().map(|(id, asking)| (id, asking.join().unwrap())).collect()
    });
    let wrong: Vec<_> = statuses
        .into_iter()
        .filter(|(id, status)| WITHOUT_STORE.contains(id) == (*status == 503))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
