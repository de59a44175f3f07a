//! Executions that are kept in a PostgreSQL database, through the binary: what holds for a SQLite
//! file, and what only a database of many has.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::site::{Process, Site, open_pipe};

/// A site whose commands find a schema of their own in `FLOW_STORE`; `None` without PostgreSQL.
fn site(more: &str) -> Option<Site> {
    Some(Site::with(vec![("FLOW_STORE", url(more)?)]))
}

/// The URL of a schema that nobody has.
fn url(more: &str) -> Option<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = testkit::postgres()?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let schema = format!("cli_{}_{number}", std::process::id());
    Some(format!("{}?sslmode=disable&schema={schema}{more}", server.url()))
}

#[test]
fn a_database_is_named_and_its_password_is_not_shown() {
    let (Some(url), Some(server)) = (url(""), testkit::postgres()) else { return };
    let site = Site::new();
    let run = site.check(&["run", "hello.json", "--store", &url], 0, &["execution ", "flow@127"]);
    let list = site.check(&["executions", "list", "--store", &url], 0, &[]);
    let id = &run.err["execution ".len()..][..36];
    let show = site.check(&["executions", "show", id, "--store", &url], 0, &[]);
    assert!(list.out.contains("Succeeded") && show.out.contains("Succeeded"), "{}", list.out);
    let nowhere = url.replace(server.password(), "wr0ng");
    let refused = site.check(&["executions", "list", "--store", &nowhere], 2, &["store.bad_url"]);
    for text in [run.err, list.out, list.err, show.out, show.err, refused.err] {
        assert!(!text.contains(server.password()) && !text.contains("wr0ng"), "{text}");
    }
}

fn start_steps(site: &Site) -> Process {
    let mut run = site.start(&["run", "steps.json", "-v"]);
    run.wait_for("execution ");
    run.wait_for("ready");
    run
}

/// So long does a process that was killed count as alive. Those that live here do nothing that a
/// missed renewal would change.
const SHORT: &str = "&lease_ms=4000";

/// Waits until the lease of a process that was killed is over.
#[track_caller]
fn wait_until_abandoned(site: &Site, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_executed = |row: &Value| row["id"] == id && row["is_executed"] == true;
    while site.list().iter().any(is_executed) {
        assert!(Instant::now() < deadline, "the owner still counts as alive");
    }
}

#[test]
fn what_was_killed_goes_on_from_postgres() {
    let Some(site) = site(SHORT) else { return };
    let run = start_steps(&site);
    let id = site.only_id();
    // Somebody else executes from the same database meanwhile.
    site.check(&["run", "hello.json"], 0, &["execution "]);
    run.signal("KILL");
    assert_eq!(run.end().code, None);
    wait_until_abandoned(&site, &id);
    let _pipe = open_pipe(&site);
    let said = site.check(&["executions", "resume", &id], 0, &["goes on here, 1 attempt cut off"]);
    assert_eq!(said.out, "{\"line\":\"ready\\npassed\"}\n");
    assert_eq!(site.count(), "abbc", "a ran once, and b was started again");
    let shown = site.json(&["executions", "show", &id, "--output", "json"]);
    assert_eq!(shown["status"], "Succeeded");
    let logs = site.check(&["executions", "logs", &id], 0, &[]).out;
    assert_eq!(logs, "b: ready\nb (attempt 2): ready\nb (attempt 2): passed\n");
    site.check(&["executions", "rerun", &id, "--from", "c"], 0, &["a: succeeded", "kept"]);
    assert_eq!(site.count(), "abbcc");
    site.check(&["executions", "export", &id, "-o", "e.json"], 0, &[]);
    site.check(&["replay", "e.json"], 0, &["nothing was run"]);
}

#[test]
fn a_living_owner_is_paused_resumed_and_sent_a_signal_through_postgres() {
    let Some(site) = site("") else { return };
    let mut run = site.start(&["run", "signal.json"]);
    run.wait_for("execution ");
    run.wait_for("waits for signal `paid`");
    let id = site.only_id();
    site.check(&["executions", "signal", &id, "pad", "1"], 2, &["signal.unknown_name", "paid"]);
    site.check(&["executions", "pause", &id, "--by", "Ada"], 0, &[]);
    run.wait_for("paused by Ada");
    assert_eq!(site.list()[0]["status"], "Paused");
    // Paused it is nobody's, and of a database any process may execute it: here, whoever resumes.
    let mut resume = site.start(&["executions", "resume", &id, "--by", "Eve"]);
    resume.wait_for("waits for signal `paid`");
    site.check(&["executions", "signal", &id, "paid", "{\"amount\": 3}"], 0, &[]);
    for process in [resume, run] {
        let said = process.end();
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.out.contains("\"amount\":3"), "{}", said.out);
    }
    site.check(&["executions", "cancel", &id], 5, &["execution.finished"]);
}

#[test]
fn what_nobody_executes_is_cancelled_from_postgres() {
    let Some(site) = site(SHORT) else { return };
    let run = start_steps(&site);
    run.signal("KILL");
    run.end();
    let id = site.only_id();
    wait_until_abandoned(&site, &id);
    site.check(&["executions", "cancel", &id], 0, &["nobody executes"]);
    site.check(&["executions", "resume", &id], 130, &[]);
    assert_eq!(site.list()[0]["status"], "Cancelled");
    assert_eq!(site.count().matches('a').count(), 1);
}

/// F40, through the binary.
#[test]
fn starts_of_many_processes_with_one_key_are_one_execution() {
    let Some(site) = site("") else { return };
    let run = ["run", "hello.json", "--key", "k", "--quiet"];
    let processes: Vec<Process> = (0..8).map(|_| site.start(&run)).collect();
    for process in processes {
        let said = process.end();
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(0), "{\"greet\":{\"output\":\"Hello Ada\"}}\n"),
            "{}",
            said.err
        );
    }
    site.only_id();
    let other = ["run", "hello.json", "--key", "k", "-i", "name=Eve"];
    site.check(&other, 5, &["execution.key_conflict"]);
}

/// A key with this byte in it all over.
fn write_key(site: &Site, name: &str, byte: u8) {
    let path = site.path().join(name);
    fs::write(&path, [byte; 32]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn what_comes_from_a_secret_is_sealed_in_postgres_with_the_key_that_is_named() {
    let Some(site) = site(SHORT) else { return };
    site.write(
        "secret.json",
        r#"{ "id": "telling", "nodes": [
            { "id": "tell", "node_type": "transform.template",
              "config": { "template": "it is {{ token }}", "values": { "token": "{{ secrets.token }}" } } },
            { "id": "paid", "node_type": "wait.signal" }],
            "connections": [{ "from_node": "tell", "from_port": "output", "to_node": "paid" }],
            "outputs": { "length": "{{ nodes.tell.output | length }}" } }"#,
    );
    site.write("secrets.env", "token=s3cret\n");
    write_key(&site, "flow.key", 7);
    write_key(&site, "other.key", 8);
    let run = ["run", "secret.json", "--secrets-file", "secrets.env"];
    let with = |key: &'static str| [run.as_slice(), &["--sealing-key", key]].concat();

    // Without a key nothing of a secret is kept, and what keeps nothing needs none.
    let said = site.check(&run, 3, &["store.no_sealing_key", "--sealing-key FILE"]);
    let given_up = site.only_id();
    assert!(!said.err.contains("s3cret"), "{}", said.err);
    site.check(&["run", "hello.json"], 0, &[]);

    site.check(&with("missing.key"), 2, &["cli.bad_sealing_key", "umask 077"]);
    assert!(!site.path().join("missing.key").exists(), "none is made");
    fs::set_permissions(site.path().join("other.key"), fs::Permissions::from_mode(0o640)).unwrap();
    site.check(&with("other.key"), 2, &["cli.bad_sealing_key", "`chmod 600 other.key`"]);
    fs::set_permissions(site.path().join("other.key"), fs::Permissions::from_mode(0o600)).unwrap();

    let mut process = site.start(&with("flow.key"));
    let first = process.wait_for("execution ");
    let id = first.split_whitespace().find(|word| word.len() == 36).unwrap().to_owned();
    process.wait_for("waits for signal `paid`");
    process.signal("KILL");
    process.end();
    wait_until_abandoned(&site, &id);

    let resume =
        ["executions", "resume", &id, "--signal", "paid=1", "--secrets-file", "secrets.env"];
    let with = |key: &'static str| [resume.as_slice(), &["--sealing-key", key]].concat();
    site.check(&resume, 3, &["store.no_sealing_key"]);
    site.check(&with("other.key"), 3, &["store.wrong_sealing_key"]);
    let show = ["executions", "show", &id, "--sealing-key", "other.key"];
    site.check(&show, 3, &["store.wrong_sealing_key"]);
    let said = site.check(&with("flow.key"), 0, &[]);
    assert_eq!(said.out, "{\"length\":\"•••\"}\n");
    let resume = resume.map(|word| if word == id { &given_up } else { word });
    site.check(&[resume.as_slice(), &["--sealing-key", "flow.key"]].concat(), 0, &[]);
    let show =
        ["executions", "show", &id, "--full", "--output", "json", "--sealing-key", "flow.key"];
    let shown = site.check(&show, 0, &[]).out;
    assert!(!shown.contains("s3cret"), "{shown}");
}
