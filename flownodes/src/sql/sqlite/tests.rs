use std::sync::Arc;

use flowcore::{Access, NodeContext, NodeFactory as _, Policy, Value};
use rusqlite::Connection;
use serde_json::json;

use super::super::testing::Bench;

/// A statement that never ends.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT max(i) FROM n";

async fn bench() -> Bench {
    let bench = Bench::new("sqlite://a.db");
    bench.query("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)").await;
    bench.query("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    bench
}

#[tokio::test]
async fn values_are_exact_both_ways() {
    let bench = Bench::new("sqlite:a.db");
    let values = json!([
        i64::MAX, i64::MIN, 0.1, 1e300, "é😀", { "$bytes": "AP8=" }, null, true, [1, { "a": [] }]
    ]);
    let query =
        "SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f, $7 AS g, $8 AS h, $9 AS i";
    assert_eq!(
        bench.rows(json!({ "query": query, "params": values })).await,
        r#"[{"a":9223372036854775807,"b":-9223372036854775808,"c":0.1,"d":1e+300,"e":"é😀","#
            .to_owned()
            + r#""f":{"$bytes":"AP8="},"g":null,"h":1,"i":"[1,{\"a\":[]}]"}]"#
    );
    assert_eq!(bench.rows(json!({ "query": "SELECT 9e999 AS a" })).await, r#"[{"a":"Infinity"}]"#);
    let config = json!({ "query": "SELECT $1", "params": [u64::MAX] });
    bench.fails(config, "sql.params").await;
    bench.fails(json!({ "query": "SELECT CAST(x'ff' AS TEXT) AS a" }), "sql.bad_value").await;
}

#[tokio::test]
async fn places_have_names_or_positions() {
    let bench = Bench::new("sqlite:a.db");
    for (query, params, expected) in [
        ("SELECT ? AS a, ? AS b", json!([1, 2]), r#"[{"a":1,"b":2}]"#),
        ("SELECT ?2 AS a, ?1 AS b", json!([1, 2]), r#"[{"a":2,"b":1}]"#),
        ("SELECT $2 AS a, $1 AS b, $2 AS c", json!([1, 2]), r#"[{"a":2,"b":1,"c":2}]"#),
        (
            "SELECT :x AS a, @y AS b, ':x' AS c, :x AS d",
            json!({ "x": 1, "y": 2 }),
            r#"[{"a":1,"b":2,"c":":x","d":1}]"#,
        ),
    ] {
        assert_eq!(bench.rows(json!({ "query": query, "params": params })).await, expected);
    }
    for params in [json!([]), json!([1, 2]), json!({ "x": 1 })] {
        bench.fails(json!({ "query": "SELECT ?", "params": params }), "sql.params").await;
    }
    bench.fails(json!({ "query": "SELECT 1", "params": 1 }), "input.invalid").await;
}

#[tokio::test]
async fn what_changes_is_counted() {
    let bench = bench().await;
    let output = bench.query("UPDATE t SET name = name || 'x'").await;
    assert_eq!(output.get("rows_affected"), Some(&Value::from(2)));
    let output = bench.query("DELETE FROM t WHERE id = 1 RETURNING name, id").await;
    assert_eq!(output.get("rows").unwrap().to_json_text(), r#"[{"name":"ax","id":1}]"#);
    assert_eq!(output.get("rows_affected"), Some(&Value::from(1)));
    assert_eq!(bench.query("SELECT * FROM t").await.get("row_count"), Some(&Value::from(1)));
}

#[tokio::test]
async fn limits_hold_while_rows_come_in() {
    let bench = bench().await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    bench.fails(json!({ "query": endless, "max_rows": 1000 }), "sql.too_many_rows").await;
    bench
        .fails(
            json!({ "query": endless, "max_rows": 1_000_000_000, "max_bytes": 10_000 }),
            "sql.too_large",
        )
        .await;
    let config = json!({ "query": "SELECT id FROM t", "max_rows": 2 });
    assert_eq!(bench.rows(config).await, r#"[{"id":1},{"id":2}]"#);
}

#[tokio::test]
async fn a_node_that_fails_has_changed_nothing() {
    let bench = bench().await;
    let query = "DELETE FROM t RETURNING id";
    bench.fails(json!({ "query": query, "max_rows": 1 }), "sql.too_many_rows").await;
    assert_eq!(bench.rows(json!({ "query": "SELECT count(*) AS n FROM t" })).await, r#"[{"n":2}]"#);
}

#[tokio::test]
async fn failures_say_whether_to_try_again() {
    let bench = bench().await;
    let error = bench.fails(json!({ "query": "SELECT 1\n FRM t x" }), "sql.failed").await;
    assert_eq!(
        error.to_string(),
        "the statement is wrong at line 2, column 6: near \"t\": syntax error"
    );
    for (query, code) in [
        ("INSERT INTO t VALUES (1, 'z')", "sql.constraint"),
        ("INSERT INTO t VALUES (3, NULL)", "sql.constraint"),
        ("SELECT * FROM nothing", "sql.failed"),
        ("SELECT 1; SELECT 2", "sql.several_statements"),
        ("CREATE TABLE u (x); INSERT INTO u VALUES (1)", "sql.several_statements"),
        ("SELECT id, id FROM t", "sql.duplicate_column"),
        ("BEGIN", "config.invalid"),
        ("SELECT {{ inputs.x }}", "config.invalid"),
        ("-- nothing", "config.invalid"),
        ("SELECT load_extension('x')", "sql.failed"),
    ] {
        let error = bench.fails(json!({ "query": query }), code).await;
        assert!(!error.is_retryable(), "{error:?}");
    }
    // What stands after the statement may be a comment.
    bench.query("SELECT 1 AS a; -- one\n").await;
}

#[tokio::test]
async fn s38_no_statement_reaches_another_file() {
    let bench = bench().await;
    for query in [
        "ATTACH 'b.db' AS b",
        "ATTACH 'b' || '.db' AS b",
        "VACUUM INTO 'b.db'",
        "PRAGMA temp_store_directory = '/'",
    ] {
        bench.fails(json!({ "query": query }), "sql.not_allowed").await;
    }
    bench.query("VACUUM").await;
    bench.query("PRAGMA journal_mode = WAL").await;
    bench.query("INSERT INTO t VALUES (3, 'c')").await;
    let names = std::fs::read_dir(bench.path()).unwrap().count();
    assert_eq!(names, 1, "only `a.db` is left, whose log is gone with the connection");
}

#[tokio::test]
async fn a_database_for_reading_is_not_changed() {
    let bench = bench().await;
    let config = |query: &str| json!({ "query": query, "read_only": true });
    bench.fails(config("DELETE FROM t"), "sql.read_only").await;
    assert_eq!(bench.rows(config("SELECT name FROM t WHERE id = 1")).await, r#"[{"name":"a"}]"#);
    let missing = json!({ "database": "sqlite:no.db", "query": "SELECT 1", "read_only": true });
    let error = bench.fails(missing, "sql.connect").await;
    assert!(error.message().ends_with("/no.db`"), "{error}");
    std::fs::write(bench.path().join("text"), "no database, but long enough".repeat(100)).unwrap();
    bench.fails(json!({ "database": "sqlite:text", "query": "SELECT 1" }), "sql.connect").await;
    crate::testing::mkfifo(&bench.path().join("pipe"));
    for path in [".", "pipe"] {
        let database = format!("sqlite:{path}");
        let config = json!({ "database": database, "query": "SELECT 1", "read_only": true });
        let error = bench.fails(config, "sql.connect").await;
        assert!(error.message().ends_with("it is not a regular file"), "{error}");
    }
    let folder = json!({ "database": "sqlite:no/folder.db", "query": "SELECT 1" });
    bench.fails(folder, "sql.connect").await;
}

#[tokio::test]
async fn a_lock_is_waited_for_and_may_be_tried_again() {
    let bench = bench().await;
    let other = Connection::open(bench.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = bench.fails(json!({ "query": "DELETE FROM t" }), "sql.busy").await;
    assert!(error.is_retryable());
    other.execute_batch("COMMIT").unwrap();
    bench.query("DELETE FROM t").await;
}

#[tokio::test]
async fn a_statement_is_stopped_by_time_and_by_a_cancel() {
    let bench = bench().await;
    let error = bench.fails(json!({ "query": ENDLESS, "timeout_ms": 20 }), "sql.timeout").await;
    assert!(error.is_retryable());
    let insert = format!("INSERT INTO t SELECT i, i FROM ({ENDLESS} AS m) JOIN (SELECT 3 AS i)");
    let insert = insert.replace(" AS m", "");
    bench.cancelled(&insert).await;
    // The statement has ended, so its lock is gone and its work undone.
    let output = bench.query("UPDATE t SET name = id").await;
    assert_eq!(output.get("rows_affected"), Some(&Value::from(2)));
}

#[test]
fn an_attempt_that_is_dropped_leaves_no_work_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = bench().await;
        let attempt = bench.run(json!({ "query": ENDLESS }));
        let started = tokio::time::timeout(std::time::Duration::from_millis(20), attempt).await;
        assert!(started.is_err());
    });
    // Waits for the thread, which would go on for ever.
    drop(runtime);
}

#[tokio::test]
async fn the_policy_is_asked_for_reading_and_for_writing() {
    let bench = bench().await;
    let run = |policy: Policy, read_only: bool, database: Value| {
        let config = json!({ "query": "SELECT 1 AS a", "read_only": read_only });
        let config = crate::testing::object(config);
        let entries = config.iter().map(|(key, value)| (key.clone(), value.clone()));
        let entries = entries.chain([(Arc::from("database"), database)]);
        let config = flowcore::Object::from_entries(entries).unwrap();
        let descriptor = bench.factory.descriptor();
        let ctx = NodeContext::builder().config_for(&descriptor, &config).policy(policy).build();
        let node = bench.factory.create(&flowcore::NodeConfig::default()).unwrap();
        async move { node.execute(ctx).await.map(|_| ()).map_err(|error| format!("{error:?}")) }
    };
    let folder = bench.path().to_owned();
    let none = Policy::deny_all().directory(&folder);
    let read = none.clone().read(Access::Only(vec![folder.clone()]));
    let both = read.clone().write(Access::Only(vec![folder]));
    let database = || Value::from("sqlite:a.db");
    assert_eq!(run(both, false, database()).await, Ok(()));
    assert_eq!(run(read.clone(), true, database()).await, Ok(()));
    for (policy, read_only) in [(none.clone(), true), (read.clone(), false)] {
        let error = run(policy, read_only, database()).await.unwrap_err();
        assert!(error.starts_with("policy.path_denied") && error.contains("a.db"), "{error}");
    }
    let secret = || Value::from("sqlite:s3cret.db").tainted();
    for policy in [none, read] {
        let error = run(policy, true, secret()).await.unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_secret_that_is_bound_is_not_repeated() {
    let bench = bench().await;
    let descriptor = bench.factory.descriptor();
    // JSON that SQLite cannot read makes it say nothing of it, but that is up to SQLite.
    let config = json!({ "database": "sqlite:a.db", "query": "SELECT json($1)" });
    let ctx = crate::testing::context(&descriptor, bench.path(), config);
    let params = Value::try_from(vec![Value::from("{s3cret").tainted()]).unwrap();
    let node = bench.factory.create(&flowcore::NodeConfig::default()).unwrap();
    let error = node.execute(ctx.input("params", params).build()).await.unwrap_err();
    assert_eq!(error.to_string(), "the statement failed");
    assert!(error.hint().unwrap().contains("secret"), "{error:?}");
}
