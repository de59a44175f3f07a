//! Workflows: saved, replaced, deleted, and called by others.

use flowserver::documents::{Page, SavedWorkflow, Validation, WorkflowSummary, WorkflowVersion};
use serde_json::{Value as Json, json};

use crate::client::Answer;
use crate::site::Site;

/// A workflow that gives a text.
fn says(id: &str, text: &str) -> Json {
    json!({
        "id": id,
        "name": format!("Says {text}"),
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": text}}],
        "outputs": {"said": "{{ nodes.say.message }}"},
    })
}

fn put(site: &Site, id: &str, condition: (&str, &str), workflow: &Json) -> Answer {
    let request = site.request("PUT", &format!("/api/v1/workflows/{id}")).json(workflow);
    request.header(condition.0, condition.1).send()
}

/// What an execution of it says.
fn said(site: &Site, id: &str, body: Json) -> Json {
    let answer = site.post(&format!("/api/v1/workflows/{id}/execute?wait=60s"), &body);
    answer.expect(200).json()["outputs"]["said"].clone()
}

#[test]
fn versions_follow_each_other_and_none_is_lost() {
    let site = Site::new();
    let created = site.post("/api/v1/workflows", &says("greeting", "one")).expect(201);
    assert_eq!(created.headers["etag"], "\"1\"");
    assert_eq!(created.headers["location"], "/api/v1/workflows/greeting");
    assert_eq!(created.read::<SavedWorkflow>().workflow, says("greeting", "one"));
    let again = site.post("/api/v1/workflows", &says("greeting", "other"));
    assert_eq!((again.status, &*again.code()), (409, "workflow.exists"));

    let unconditional =
        site.request("PUT", "/api/v1/workflows/greeting").json(&says("greeting", "x"));
    assert_eq!(unconditional.send().expect(428).code(), "workflow.version_needed");
    let second =
        put(&site, "greeting", ("if-match", "\"1\""), &says("greeting", "two")).expect(200);
    assert_eq!(second.headers["etag"], "\"2\"");
    let late = put(&site, "greeting", ("if-match", "\"1\""), &says("greeting", "late"));
    assert_eq!((late.status, &*late.code()), (412, "workflow.version_conflict"));
    let new = put(&site, "greeting", ("if-none-match", "*"), &says("greeting", "new"));
    assert_eq!((new.status, &*new.code()), (412, "workflow.version_conflict"));

    let get = |path: &str| site.get(path);
    let current: SavedWorkflow = get("/api/v1/workflows/greeting").expect(200).read();
    assert_eq!((current.version, current.workflow), (2, says("greeting", "two")));
    let first: SavedWorkflow = get("/api/v1/workflows/greeting?version=1").expect(200).read();
    assert_eq!(first.workflow, says("greeting", "one"));
    get("/api/v1/workflows/greeting?version=3").expect(404);
    let unchanged = site.request("GET", "/api/v1/workflows/greeting");
    unchanged.header("if-none-match", "\"2\"").send().expect(304);

    assert_eq!(said(&site, "greeting", json!({})), "two");
    assert_eq!(said(&site, "greeting", json!({"version": 1})), "one");
    let unknown = site.post("/api/v1/workflows/greeting/execute", &json!({"version": 9}));
    assert_eq!((unknown.status, &*unknown.code()), (404, "workflow.not_found"));

    let delete = |tag: &str| {
        let request = site.request("DELETE", "/api/v1/workflows/greeting");
        request.header("if-match", tag).send()
    };
    delete("\"1\"").expect(412);
    delete("\"2\"").expect(204);
    get("/api/v1/workflows/greeting").expect(404);
    site.post("/api/v1/workflows/greeting/execute", &json!({})).expect(404);
    // What it was can still be read, and its number is not used again.
    put(&site, "greeting", ("if-none-match", "*"), &says("greeting", "again")).expect(200);
    let versions: Page<WorkflowVersion> =
        get("/api/v1/workflows/greeting/versions").expect(200).read();
    let versions: Vec<_> = versions.items.iter().map(|one| (one.version, one.is_deleted)).collect();
    assert_eq!(versions, [(4, false), (3, true), (2, false), (1, false)]);
    assert_eq!(said(&site, "greeting", json!({"version": 2})), "two");
}

#[test]
fn they_outlive_the_server() {
    let mut site = Site::new();
    site.post("/api/v1/workflows", &says("greeting", "one")).expect(201);
    site.kill();
    site.start(&[]);
    assert_eq!(said(&site, "greeting", json!({})), "one");
}

#[test]
fn lists_come_part_by_part() {
    let site = Site::new();
    for number in 0..7 {
        site.post("/api/v1/workflows", &says(&format!("w{number}"), "x")).expect(201);
    }
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let part: Page<WorkflowSummary> =
            site.get(&format!("/api/v1/workflows?limit=3{cursor}")).expect(200).read();
        assert!(part.items.len() <= 3);
        ids.extend(part.items.into_iter().map(|one| one.id));
        let Some(next) = part.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
}

#[test]
fn a_workflow_with_mistakes_is_not_saved_and_every_mistake_has_a_place() {
    let site = Site::new();
    let text = "{\n  \"id\": \"bad\",\n  \"nodes\": [\n    {\"id\": \"a\", \"node_type\": \"debug.lgo\"},\n    {\"id\": \"a\"}\n  ]\n}";
    let send = |path: &str| {
        let request = site.request("POST", path).text(text);
        request.header("content-type", "application/json").send()
    };
    let refused = send("/api/v1/workflows").expect(422);
    assert_eq!(refused.code(), "workflow.invalid");
    let errors = refused.json()["errors"].clone();
    let find = |code: &str| {
        let all = errors.as_array().unwrap();
        all.iter().find(|one| one["code"] == code).unwrap_or_else(|| panic!("{errors:#}")).clone()
    };
    let unknown = find("node.unknown_type");
    assert_eq!((&unknown["pointer"], &unknown["line"]), (&json!("/nodes/0/node_type"), &json!(4)));
    assert!(unknown.to_string().contains("debug.log"));
    find("node.duplicate_id");
    assert_eq!(site.get("/api/v1/workflows").json()["items"], json!([]));

    let checked: Validation = send("/api/v1/workflows/validate").expect(200).read();
    assert!(!checked.valid);
    assert_eq!(Json::from(checked.diagnostics), errors);
    let good = site.post("/api/v1/workflows/validate", &says("x", "y")).expect(200);
    assert!(good.read::<Validation>().valid);
}

#[test]
fn ids_are_those_of_the_path() {
    let site = Site::new();
    let nameless = json!({"nodes": [{"id": "a", "node_type": "debug.log"}]});
    let created = site.post("/api/v1/workflows", &nameless);
    assert_eq!((created.status, &*created.code()), (422, "workflow.missing_id"));
    put(&site, "named", ("if-none-match", "*"), &nameless).expect(201);
    let other = put(&site, "named", ("if-match", "*"), &says("other", "x"));
    assert_eq!((other.status, &*other.code()), (422, "workflow.other_id"));
    let bad = put(&site, "a%20b", ("if-none-match", "*"), &nameless);
    assert_eq!((bad.status, &*bad.code()), (422, "id.character"));
    let tag = put(&site, "named", ("if-match", "three"), &nameless);
    assert_eq!((tag.status, &*tag.code()), (400, "request.bad_etag"));
}

#[test]
fn a_workflow_calls_another_in_its_version_of_that_moment() {
    let site = Site::new();
    let calls = |name: &str| {
        json!({
            "id": "caller",
            "nodes": [{"id": "call", "node_type": "workflow.call", "config": {"workflow": name}}],
            "outputs": {"said": "{{ nodes.call.output.said }}"},
        })
    };
    let early = site.post("/api/v1/workflows", &calls("greeting"));
    assert_eq!(early.expect(422).json()["errors"][0]["code"], "call.not_found");
    site.post("/api/v1/workflows", &says("greeting", "one")).expect(201);
    site.post("/api/v1/workflows", &calls("greeting")).expect(201);
    assert_eq!(said(&site, "caller", json!({})), "one");
    put(&site, "greeting", ("if-match", "\"1\""), &says("greeting", "two")).expect(200);
    assert_eq!(said(&site, "caller", json!({})), "two");
    put(&site, "caller", ("if-match", "\"1\""), &calls("greeting@1")).expect(200);
    assert_eq!(said(&site, "caller", json!({})), "one");
    // The one that it calls is gone: it is refused, and says why.
    put(&site, "caller", ("if-match", "\"2\""), &calls("greeting")).expect(200);
    site.request("DELETE", "/api/v1/workflows/greeting").send().expect(204);
    let refused = site.post("/api/v1/workflows/caller/execute", &json!({})).expect(422);
    assert_eq!(refused.json()["errors"][0]["code"], "call.not_found");
}
