//! What can be done to every operation alike.

use std::net::TcpStream;

use serde_json::{Value as Json, json};

use super::{Asked, Asks, Seen};
use crate::contract::Operation;
use crate::limits::soon;
use crate::site::Site;
use crate::websocket::handshake;

/// A token of the right form that nobody was given.
const WRONG: &str = "flw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// After so many wrong tokens at the latest an address has to wait, also when they come slowly.
const MANY: usize = 1000;

/// The names of the parts of its path.
fn parts(operation: &Operation) -> impl Iterator<Item = &str> {
    operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// What is not there, for a part of a path.
pub(crate) fn unknown(part: &str) -> String {
    if part == "id" { "00000000-0000-7000-8000-000000000000" } else { "x" }.to_owned()
}

/// A request that makes sense to an operation, but for whether what its path names is there.
pub(crate) fn sensible<'a>(
    api: Asks<'a>,
    operation: &Operation,
    part: impl Fn(&str) -> String,
) -> Asked<'a> {
    let parts: Vec<String> = parts(operation).map(part).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let asked = api.ask(&operation.id, &parts);
    if operation.has_body {
        asked.header("if-none-match", "*").json(&body_of(&operation.id))
    } else if operation.statuses.contains(&101) {
        asked.with(handshake)
    } else {
        asked
    }
}

/// A body that makes sense to an operation.
fn body_of(operation: &str) -> Json {
    // Whether what it calls is there has to be looked up.
    let workflow = json!({
        "id": "calls",
        "nodes": [{"id": "a", "node_type": "workflow.call", "config": {"workflow": "another"}}],
    });
    match operation {
        "workflows.create" | "workflows.validate" | "workflows.replace" => workflow,
        "executions.create" => json!({"workflow": workflow}),
        "executions.approve" => json!({"approved": true}),
        "session.create" => json!({"token": WRONG}),
        "events.publish" => json!({"topic": "a"}),
        "tokens.create" => json!({"name": "a viewer", "role": "viewer"}),
        "projects.create" => json!({"id": "another"}),
        "secrets.put" => json!({"value": "v"}),
        _ => json!({}),
    }
}

/// Whether it makes what its path names, and so never says that it is not there.
fn makes_what_it_names(operation: &Operation) -> bool {
    matches!(&*operation.id, "workflows.replace" | "secrets.put")
}

/// Refusals of what is wrong about a request whatever it asks for.
pub(super) fn refusals(api: Asks<'_>, operation: &Operation) {
    let id = &*operation.id;
    let nothing: Vec<&str> = parts(operation).map(|_| "x").collect();
    let bare = || api.bare(id, &nothing);
    let foreign = bare().header("origin", "https://evil.test");
    foreign.header("accept", "text/event-stream").expect(403);
    bare().header("host", "evil.test").expect(421);
    if operation.needs.is_some() {
        bare().expect(401);
    }
    if operation.has_query {
        api.ask(&format!("{id}?nonsense=1"), &nothing).expect(400);
    }
    if operation.has_body {
        let ask = || {
            let asked = api.ask(id, &nothing).header("content-type", "application/json");
            asked.header("if-none-match", "*")
        };
        ask().with(|request| request.bytes(b"\xff")).expect(400);
        ask().header("content-length", "99999999").expect(413);
        ask().with(|request| request.text("x")).header("content-type", "text/plain").expect(415);
        // What checks a workflow says what is wrong with it, and that is its answer.
        let status = if id == "workflows.validate" { 200 } else { 422 };
        ask().json(&json!({"nonsense": 1})).expect(status);
    }
    if makes_what_it_names(operation) {
        sensible(api, operation, |_| "%ff".to_owned()).expect(404);
    } else if !nothing.is_empty() {
        sensible(api, operation, unknown).expect(404);
    }
}

/// The server does not wait for a body for ever.
pub(super) fn a_body_that_never_comes(api: Asks<'_>, operation: &Operation) {
    if !operation.statuses.contains(&408) {
        return;
    }
    let path = |part: &str| match part {
        "path" => super::hooks::path(api, "open"),
        other => unknown(other),
    };
    let slow = sensible(api, operation, path).with(|request| request.text(""));
    slow.header("content-length", "10").header("content-type", "application/json").expect(408);
}

/// Who sends many wrong tokens, or bad signatures, has to wait.
pub(super) fn too_many_wrong_tokens(seen: &Seen) {
    let site = Site::new();
    let api = Asks { site: &site, seen };
    super::hooks::save_signed(api);
    for operation in seen.operations().filter(|one| one.statuses.contains(&429)) {
        let id = &*operation.id;
        let nothing: Vec<&str> = parts(operation).map(|_| "x").collect();
        let wrong = || match id {
            "session.create" => api.bare(id, &[]).json(&body_of(id)),
            id if id.starts_with("hooks.") => api.bare(id, &["signed"]),
            id => api.bare(id, &nothing).with(|request| request.token(WRONG)),
        };
        let mut statuses = (0..MANY).map(|_| wrong().send().status);
        assert!(statuses.any(|status| status == 429), "{id}");
    }
}

/// There is no place for another connection, whatever would come over it.
pub(super) fn too_many_connections(seen: &Seen) {
    let site = Site::with(&["--max-connections", "1"]);
    let api = Asks { site: &site, seen };
    for operation in seen.operations() {
        let nothing: Vec<&str> = parts(operation).map(|_| "x").collect();
        // The connection before may not be gone yet: then this one has no place either.
        soon(&operation.id, || {
            let _held = TcpStream::connect(site.address()).unwrap();
            let answer = api.bare(&operation.id, &nothing).try_send();
            answer.is_some_and(|answer| answer.status == 503)
        });
    }
}
