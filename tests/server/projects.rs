//! Projects do not see each other.

use serde_json::{Value as Json, json};

use crate::client::Request;
use crate::contract::{Operation, operations};
use crate::site::Site;

/// Makes a project; gives a token of an admin there.
pub(crate) fn project(site: &Site, id: &str) -> String {
    site.post("/api/v1/projects", &json!({"id": id})).expect(201);
    let asked = json!({"name": format!("admin of {id}"), "role": "admin", "project": id});
    let token = site.post("/api/v1/tokens", &asked).expect(201).json();
    assert_eq!(token["project"], id);
    token["token"].as_str().unwrap().to_owned()
}

/// What there is in a project, by the names of parameters.
struct Things {
    execution: String,
    workflow: String,
    secret: String,
    token: String,
}

impl Things {
    /// The path of an operation for these things; `None` where nothing of a project is named.
    fn path(&self, operation: &Operation) -> Option<String> {
        if !operation.path.contains('{') || operation.needs.is_none() {
            return None;
        }
        let kind = operation.path.split('/').nth(3).unwrap();
        // A new kind of thing is written here, after some thought.
        let path = match kind {
            "executions" => {
                operation.path.replace("{id}", &self.execution).replace("{name}", "paid")
            }
            "workflows" => operation.path.replace("{id}", &self.workflow),
            "schedules" | "triggers" | "webhooks" => {
                let trigger = if kind == "webhooks" { "hook" } else { "hourly" };
                let path = operation.path.replace("{workflow}", &self.workflow);
                path.replace("{trigger}", trigger)
            }
            "secrets" => operation.path.replace("{name}", &self.secret),
            "tokens" => operation.path.replace("{id}", &self.token),
            // Of no project.
            "nodes" => return None,
            other => panic!("say here what the ids of `{other}` are"),
        };
        assert!(!path.contains('{'), "{path}");
        Some(path)
    }

    fn without_names(&self, text: &str) -> String {
        let names = [&self.execution, &self.workflow, &self.secret, &self.token];
        names.iter().fold(text.to_owned(), |text, name| text.replace(*name, "NAME"))
    }
}

fn body_of(operation: &Operation) -> Json {
    match operation.path.rsplit('/').next().unwrap() {
        "{id}" => json!({"nodes": [{"id": "a", "node_type": "wait.signal"}]}),
        "{name}" if operation.path.contains("secrets") => json!({"value": "other"}),
        "{name}" if operation.path.contains("approvals") => json!({"approved": true}),
        _ => json!({}),
    }
}

fn ask(site: &Site, token: &str, operation: &Operation, path: &str) -> Request {
    let request = site.bare(&operation.method, path).token(token);
    let request = match operation.has_body {
        true => request.json(&body_of(operation)),
        false => request,
    };
    // Nothing is saved that is not there.
    match operation.path.as_str() {
        "/api/v1/workflows/{id}" if operation.method == "PUT" => {
            request.header("if-match", "\"1\"")
        }
        _ => request,
    }
}

#[test]
fn s11_what_belongs_to_another_project_is_answered_as_what_is_not_there() {
    let site = Site::new();
    let triggers = json!([
        {"id": "hourly", "type": "cron", "expression": "0 * * * *"},
        {"id": "hook", "type": "webhook", "path": "mine"},
    ]);
    let nodes = json!([{"id": "paid", "node_type": "wait.signal"}]);
    let workflow = json!({"id": "mine", "nodes": nodes, "triggers": triggers});
    site.post("/api/v1/workflows", &workflow).expect(201);
    site.request("PUT", "/api/v1/secrets/mine").json(&json!({"value": "v"})).send().expect(201);
    let token = json!({"name": "mine", "role": "viewer"});
    let token = site.post("/api/v1/tokens", &token).expect(201).json();
    let mine = Things {
        execution: site.execute("mine", json!({})),
        workflow: "mine".to_owned(),
        secret: "mine".to_owned(),
        token: token["id"].as_str().unwrap().to_owned(),
    };
    site.until(&mine.execution, "NodeWaiting");
    let unknown = "00000000-0000-7000-8000-000000000000";
    let absent = Things {
        execution: unknown.to_owned(),
        workflow: "nobodys".to_owned(),
        secret: "nobodys".to_owned(),
        token: unknown.to_owned(),
    };
    let theirs = project(&site, "theirs");
    let mut walked = 0;
    for operation in operations(&site) {
        let Some(path) = mine.path(&operation) else { continue };
        let ask = |things: &Things, path: &str| {
            let answer = ask(&site, &theirs, &operation, path).send();
            (answer.status, things.without_names(&answer.text()))
        };
        let foreign = ask(&mine, &path);
        if operation.path == "/api/v1/secrets/{name}" && operation.method == "PUT" {
            // A name is free in every project.
            assert_eq!(foreign.0, 201, "{foreign:?}");
            site.bare("DELETE", &path).token(&theirs).send().expect(204);
            continue;
        }
        assert_eq!(foreign, ask(&absent, &absent.path(&operation).unwrap()), "{operation:?}");
        let expected = if operation.method == "PUT" { 412 } else { 404 };
        assert_eq!(foreign.0, expected, "{operation:?} {foreign:?}");
        walked += 1;
    }
    assert!(walked >= 22, "{walked}");
    for list in ["executions", "workflows", "schedules", "secrets"] {
        let listed = site.bare("GET", &format!("/api/v1/{list}")).token(&theirs).send();
        assert_eq!(listed.expect(200).json()["items"], json!([]), "{list}");
    }
    let audit = site.bare("GET", "/api/v1/audit").token(&theirs).send().expect(200).json();
    for row in audit["items"].as_array().unwrap() {
        assert_eq!(row["project"], "theirs", "{row}");
    }
    // Nothing of this has changed anything: it goes on as if nobody had asked.
    let secrets = site.get("/api/v1/secrets").expect(200).json();
    assert_eq!(secrets["items"][0]["version"], 1);
    let path = format!("/api/v1/executions/{}/signals/paid", mine.execution);
    site.post(&path, &json!({})).expect(202);
    assert_eq!(site.end_of(&mine.execution)["status"], "Succeeded");
}

#[test]
fn s11_the_project_of_a_request_is_that_of_its_token_and_nothing_names_another() {
    let site = Site::new();
    let theirs = project(&site, "theirs");
    for header in ["x-project", "project", "x-flow-project"] {
        let request = site.request("GET", "/api/v1/workflows").header(header, "theirs");
        assert_eq!(request.send().expect(200).json()["items"], json!([]));
    }
    let refused = site.request("GET", "/api/v1/workflows?project=theirs").send();
    assert_eq!((refused.status, &*refused.code()), (400, "request.bad_query"));
    // The same id in two projects is two workflows.
    let workflow = |text: &str| {
        let say = json!({"id": "say", "node_type": "debug.log", "config": {"message": text}});
        json!({"id": "same", "nodes": [say], "outputs": {"said": "{{ nodes.say.message }}"}})
    };
    site.post("/api/v1/workflows", &workflow("mine")).expect(201);
    let save = site.bare("POST", "/api/v1/workflows").token(&theirs);
    save.json(&workflow("theirs")).send().expect(201);
    let run = |request: Request| request.json(&json!({})).send().expect(200).json();
    let path = "/api/v1/workflows/same/execute?wait=60s";
    assert_eq!(run(site.request("POST", path))["outputs"]["said"], "mine");
    assert_eq!(run(site.bare("POST", path).token(&theirs))["outputs"]["said"], "theirs");
}

#[test]
fn only_a_token_of_the_installation_makes_projects_and_tokens_in_them() {
    let site = Site::new();
    let theirs = project(&site, "theirs");
    let [admin, ask] = [site.token_of("admin"), theirs];
    for token in [&admin, &ask] {
        let make = site.bare("POST", "/api/v1/projects").token(token);
        let answer = make.json(&json!({"id": "more"})).send();
        assert_eq!((answer.status, &*answer.code()), (403, "auth.forbidden"));
        for project in ["theirs", "default", "nobodys"] {
            let own = if token == &admin { "default" } else { "theirs" };
            let asked = json!({"name": "x", "role": "viewer", "project": project});
            let answer = site.bare("POST", "/api/v1/tokens").token(token).json(&asked).send();
            assert_eq!(answer.status, if project == own { 201 } else { 403 }, "{project}");
            let list = format!("/api/v1/tokens?project={project}");
            let answer = site.bare("GET", &list).token(token).send();
            assert_eq!(answer.status, if project == own { 200 } else { 403 }, "{project}");
        }
        let all = site.bare("GET", "/api/v1/audit?all=true").token(token).send();
        assert_eq!(all.status, 403);
    }
    let listed = site.get("/api/v1/projects").expect(200).json();
    let ids: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["default", "theirs"]);
    let again = site.post("/api/v1/projects", &json!({"id": "theirs"}));
    assert_eq!((again.status, &*again.code()), (409, "project.exists"));
    let bad = site.post("/api/v1/projects", &json!({"id": "a b"}));
    assert_eq!(bad.status, 422, "{bad:?}");
    let asked = json!({"name": "x", "role": "viewer", "project": "nobodys"});
    let absent = site.post("/api/v1/tokens", &asked);
    assert_eq!((absent.status, &*absent.code()), (422, "project.not_found"));
    // It also takes tokens of projects back, and nobody else takes back its own.
    let tokens = site.get("/api/v1/tokens?project=theirs").expect(200).json();
    let id = tokens["items"][0]["id"].as_str().unwrap();
    site.request("DELETE", &format!("/api/v1/tokens/{id}")).send().expect(204);
    assert_eq!(site.bare("GET", "/api/v1/nodes").token(&ask).send().status, 401);
    let tokens = site.get("/api/v1/tokens").expect(200).json();
    let first = &tokens["items"][0];
    assert_eq!(first["is_of_installation"], true);
    let path = format!("/api/v1/tokens/{}", first["id"].as_str().unwrap());
    assert_eq!(site.bare("DELETE", &path).token(&admin).send().status, 403);
}
