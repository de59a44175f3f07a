//! Ended executions are forgotten.

use super::site::{Site, args};

fn prune<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let words: Vec<&str> = ["executions", "prune"].iter().chain(more).copied().collect();
    args(&words)
}

#[test]
fn what_ended_is_forgotten_beside_a_living_owner() {
    let site = Site::new();
    for _ in 0..4 {
        site.check(&args(&["run", "hello.json"]), 0, &[]);
    }
    let mut run = site.start(&args(&["run", "signal.json"]));
    run.wait_for("waits");

    site.check(&prune(&[]), 2, &["--older-than <DURATION>", "--keep <NUMBER>"]);
    let unasked = site.check(&prune(&["--keep", "1"]), 2, &["[cli.not_confirmed]", "--yes"]);
    assert_eq!(unasked.out, "");
    let none = site.check(&prune(&["--older-than", "1h", "--yes"]), 0, &[]);
    assert_eq!(none.out, "0 executions (0 bytes) pruned\n");

    let would = site.check(&prune(&["--keep", "1", "--dry-run"]), 0, &[]).out;
    assert!(
        would.starts_with("3 executions (") && would.ends_with(") would be pruned\n"),
        "{would}"
    );
    let before = site.json(&prune(&["--keep", "1", "--dry-run", "--output", "json"]));
    assert_eq!((&before["executions"], &before["values"]), (&3.into(), &0.into()));
    assert!(before["bytes"].as_u64().unwrap() > 300, "{before}");
    assert_eq!(site.list().len(), 5, "nothing has gone");

    let gone = site.json(&prune(&["--keep", "1", "--yes", "--output", "json"]));
    for what in ["executions", "values", "bytes"] {
        assert_eq!(gone[what], before[what], "{what}");
    }
    let statuses: Vec<_> = site.list().iter().map(|row| row["status"].to_string()).collect();
    assert_eq!(statuses, ["\"Waiting\"", "\"Succeeded\""]);

    // What has not ended is never pruned, and goes on.
    site.check(&prune(&["--keep", "0", "-y"]), 0, &[]);
    let id = site.only_id();
    site.check(&args(&["executions", "signal", &id, "paid", "1"]), 0, &[]);
    assert_eq!(run.end().code, Some(0));
}
