//! Each test needs a server of its own machine: `testkit` starts one, or says that it cannot.

use flowcore::{Access, NodeContext, NodeFactory as _, Policy, Value};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use testkit::Postgres;

use super::super::query::QueryFactory;
use super::super::testing::Bench;
use super::Pools;

fn bench() -> Option<(Bench, &'static Postgres)> {
    let server = testkit::postgres()?;
    Some((Bench::new(&server.url()), server))
}

#[tokio::test]
async fn every_known_type_has_one_form() {
    let Some((bench, _)) = bench() else { return };
    for (expression, expected) in [
        ("true", "true"),
        ("NULL::int", "null"),
        ("(-32768)::int2", "-32768"),
        ("2147483647", "2147483647"),
        ("(-9223372036854775808)::int8", "-9223372036854775808"),
        ("4294967295::oid", "4294967295"),
        ("0.1::float4", "0.1"),
        ("0.1::float8", "0.1"),
        ("'NaN'::float8", "\"NaN\""),
        ("'-Infinity'::float4", "\"-Infinity\""),
        ("0::numeric", "\"0\""),
        ("-0.000123400", "\"-0.000123400\""),
        ("12345678901234567890123.450", "\"12345678901234567890123.450\""),
        ("1e10::numeric", "\"10000000000\""),
        ("100000000.00010000::numeric", "\"100000000.00010000\""),
        ("'NaN'::numeric", "\"NaN\""),
        ("'-Infinity'::numeric", "\"-Infinity\""),
        ("'é😀'", "\"é😀\""),
        ("'ab'::char(3)", "\"ab \""),
        ("'ab'::name", "\"ab\""),
        (r"'\x00ff'::bytea", r#"{"$bytes":"AP8="}"#),
        (r#"'{"b":[1,1.0],"a":null}'::json"#, r#"{"b":[1,1.0],"a":null}"#),
        (r#"'{"a":9007199254740993}'::jsonb"#, r#"{"a":9007199254740993}"#),
        ("'0123456789abcdef0123456789abcdef'::uuid", "\"01234567-89ab-cdef-0123-456789abcdef\""),
        ("'2024-02-29 12:00:00.5+02'::timestamptz", "\"2024-02-29T10:00:00.5Z\""),
        ("'1969-12-31 23:59:59'::timestamp", "\"1969-12-31T23:59:59\""),
        ("'infinity'::timestamptz", "\"infinity\""),
        ("'-infinity'::date", "\"-infinity\""),
        ("'1999-12-31'::date", "\"1999-12-31\""),
        ("'23:59:59.000001'::time", "\"23:59:59.000001\""),
        ("'24:00'::time", "\"24:00:00\""),
        ("'{{1,2},{3,NULL}}'::int[]", "[[1,2],[3,null]]"),
        ("'{}'::text[]", "[]"),
        ("ARRAY['2024-01-01'::date]", "[\"2024-01-01\"]"),
        ("pg_advisory_unlock_all()", "null"),
    ] {
        let query = format!("SELECT {expression} AS a");
        let rows = bench.rows(json!({ "query": query })).await;
        assert_eq!(rows, format!("[{{\"a\":{expected}}}]"), "{expression}");
    }
}

#[tokio::test]
async fn types_without_a_form_name_their_column() {
    let Some((bench, _)) = bench() else { return };
    let query = "SELECT 1 AS a, '1 day'::interval AS wait";
    let error = bench.fails(json!({ "query": query }), "sql.unsupported_type").await;
    assert_eq!(error.message(), "column `wait` has the type `interval`, which has no form in JSON");
    assert!(error.hint().unwrap().contains("wait::text"));
    for expression in ["'99999-01-01'::date", "'0044-03-15 BC'::timestamp", "'1e400'::json"] {
        let query = format!("SELECT {expression} AS a");
        bench.fails(json!({ "query": query }), "sql.bad_value").await;
    }
}

#[tokio::test]
async fn what_is_bound_arrives_exactly() {
    let Some((bench, _)) = bench() else { return };
    for (ty, value, expected) in [
        ("int8", json!(i64::MAX), "9223372036854775807"),
        ("numeric", json!(u64::MAX), "\"18446744073709551615\""),
        ("numeric", json!("0.10"), "\"0.10\""),
        ("float8", json!(0.1), "0.1"),
        ("bool", json!(true), "true"),
        ("text", json!("it's \\ \"é\"; --"), r#""it's \\ \"é\"; --""#),
        ("text", json!(null), "null"),
        ("bytea", json!({ "$bytes": "AP8=" }), r#"{"$bytes":"AP8="}"#),
        ("jsonb", json!({ "a": [1, "b"] }), r#"{"a":[1,"b"]}"#),
        ("json", json!("text"), "\"text\""),
        ("int[]", json!([1, null, 3]), "[1,null,3]"),
        ("int[]", json!([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        ("text[]", json!(["a\"b", "NULL", "{,}", "\\", ""]), r#"["a\"b","NULL","{,}","\\",""]"#),
        ("bytea[]", json!([{ "$bytes": "AP8=" }]), r#"[{"$bytes":"AP8="}]"#),
        ("jsonb[]", json!([{ "a": "b\"" }]), r#"[{"a":"b\""}]"#),
        ("timestamptz", json!("2024-01-01T00:00:00Z"), "\"2024-01-01T00:00:00Z\""),
    ] {
        for (query, params) in [
            (format!("SELECT $1::{ty} AS a"), json!([value])),
            (format!("SELECT :x::{ty} AS a -- :y"), json!({ "x": value })),
        ] {
            let rows = bench.rows(json!({ "query": query, "params": params })).await;
            assert_eq!(rows, format!("[{{\"a\":{expected}}}]"), "{ty} {value}");
        }
    }
    for (ty, value) in [("int", json!({})), ("bytea", json!(1)), ("int[]", json!([{}]))] {
        let config = json!({ "query": format!("SELECT $1::{ty}"), "params": [value] });
        bench.fails(config, "sql.params").await;
    }
    let config = json!({ "query": "SELECT $1::int", "params": [1, 2] });
    bench.fails(config, "sql.params").await;
}

#[tokio::test]
async fn failures_say_whether_to_try_again() {
    let Some((bench, _)) = bench() else { return };
    let error = bench.fails(json!({ "query": "SELECT 1\nFROM no_such_table" }), "sql.failed").await;
    assert_eq!(
        error.to_string(),
        "the statement failed at line 2, column 6 (42P01): relation \"no_such_table\" does not exist"
    );
    for (state, code, may_pass) in [
        ("23505", "sql.constraint", false),
        ("22012", "sql.failed", false),
        ("25006", "sql.read_only", false),
        ("40001", "sql.conflict", true),
        ("40P01", "sql.conflict", true),
        ("55P03", "sql.busy", true),
        ("53200", "sql.busy", true),
        ("57P01", "sql.connection_lost", true),
        ("08006", "sql.connection_lost", true),
        ("57014", "sql.stopped", true),
    ] {
        let query = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$");
        let error = bench.fails(json!({ "query": query }), code).await;
        assert_eq!(error.is_retryable(), may_pass, "{state}");
    }
    bench.fails(json!({ "query": "SELECT 1; SELECT 2" }), "sql.several_statements").await;
    bench.fails(json!({ "query": "SELECT 1 AS a, 2 AS a" }), "sql.duplicate_column").await;
    bench.fails(json!({ "query": "COPY (SELECT 1) TO STDOUT" }), "sql.connection_lost").await;
    let config = json!({ "query": "SELECT pg_terminate_backend(pg_backend_pid())" });
    assert!(bench.fails(config, "sql.connection_lost").await.is_retryable());
    assert_eq!(bench.rows(json!({ "query": "SELECT 1 AS a" })).await, "[{\"a\":1}]");
}

#[tokio::test]
async fn what_changes_is_counted_and_undone_when_the_node_fails() {
    let Some((bench, _)) = bench() else { return };
    bench.query("CREATE TABLE changes (id int PRIMARY KEY)").await;
    let output = bench.query("INSERT INTO changes SELECT generate_series(1, 50)").await;
    assert_eq!(output.get("rows_affected"), Some(&Value::from(50)));
    let delete = "DELETE FROM changes RETURNING id";
    bench.fails(json!({ "query": delete, "max_rows": 49 }), "sql.too_many_rows").await;
    let config = json!({ "query": "DELETE FROM changes RETURNING id", "read_only": true });
    bench.fails(config, "sql.read_only").await;
    let count = json!({ "query": "SELECT count(*) AS n FROM changes", "read_only": true });
    assert_eq!(bench.rows(count).await, "[{\"n\":50}]");
    let output = bench.query(delete).await;
    assert_eq!(output.get("rows_affected"), Some(&Value::from(50)));
    assert_eq!(output.get("row_count"), Some(&Value::from(50)));
    let output = bench.query("SELECT 1 AS a").await;
    assert_eq!(output.get("rows_affected"), Some(&Value::from(0)));
    bench.query("VACUUM changes").await;
}

#[tokio::test]
async fn endless_rows_are_cut_off() {
    let Some((bench, _)) = bench() else { return };
    let query = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                 SELECT i, repeat('x', 1000) AS x FROM n";
    bench.fails(json!({ "query": query, "max_rows": 1000 }), "sql.too_many_rows").await;
    bench.fails(json!({ "query": query, "max_bytes": 100_000 }), "sql.too_large").await;
    assert_no_more(&bench, "repeat('x', 1000)").await;
}

/// Waits until no statement with this text is under way.
async fn assert_no_more(bench: &Bench, text: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let query = "SELECT count(*) AS n FROM pg_stat_activity \
                 WHERE state = 'active' AND pid <> pg_backend_pid() AND strpos(query, $1) > 0";
    let config = json!({ "query": query, "params": [text] });
    while bench.rows(config.clone()).await != "[{\"n\":0}]" {
        assert!(std::time::Instant::now() < deadline, "`{text}` goes on");
    }
}

#[tokio::test]
async fn a_statement_is_stopped_by_time_by_a_cancel_and_by_being_dropped() {
    let Some((bench, _)) = bench() else { return };
    let slow = "SELECT pg_sleep(3000)";
    let error = bench.fails(json!({ "query": slow, "timeout_ms": 300 }), "sql.timeout").await;
    assert!(error.is_retryable());
    bench.cancelled(slow).await;
    let attempt = bench.run(json!({ "query": slow }));
    let dropped = tokio::time::timeout(std::time::Duration::from_millis(300), attempt).await;
    assert!(dropped.is_err());
    assert_no_more(&bench, "pg_sleep").await;
}

#[tokio::test]
async fn connections_are_shared_and_clean() {
    let Some((bench, _)) = bench() else { return };
    let pid = json!({ "query": "SELECT pg_backend_pid() AS pid" });
    let first = bench.rows(pid.clone()).await;
    bench.query("SET statement_timeout = 12345").await;
    bench.query("CREATE TEMP TABLE left_behind (x int)").await;
    assert_eq!(bench.rows(pid.clone()).await, first);
    let setting = json!({ "query": "SELECT current_setting('statement_timeout') AS s" });
    assert_eq!(bench.rows(setting).await, "[{\"s\":\"0\"}]");
    bench.fails(json!({ "query": "SELECT * FROM left_behind" }), "sql.failed").await;
    bench.factory.pools().close_idle_since(std::time::Duration::ZERO).await;
    assert_ne!(bench.rows(pid).await, first);
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_named_without_its_url() {
    let Some((bench, server)) = bench() else { return };
    let (user, password, port) = (server.user(), server.password(), server.port());
    let unused = testkit::unused_port();
    for (url, message, may_pass) in [
        (server.url_with(user, "wr0ng", "postgres"), "the password is wrong (28P01)", false),
        (server.url_with(user, password, "n0where"), "there is no such database (3D000)", false),
        (format!("{}?sslmode=require", server.url()), "it does not encrypt", false),
        (format!("postgres://u:wr0ng@127.0.0.1:{unused}/n0where"), "server", true),
    ] {
        let error =
            bench.fails(json!({ "database": url, "query": "SELECT 1" }), "sql.connect").await;
        assert!(error.message().ends_with(message), "{error:?}");
        assert_eq!(error.is_retryable(), may_pass, "{error:?}");
        let shown = format!("{error:?}{:?}", error.hint());
        let hidden = ["wr0ng", "n0where", password];
        assert!(hidden.iter().all(|part| !shown.contains(part)), "{shown}");
    }
    let descriptor = bench.factory.descriptor();
    let run = async |policy: Policy| {
        let config = json!({ "database": server.url(), "query": "SELECT 1 AS a" });
        let config = crate::testing::object(config);
        let ctx = NodeContext::builder().config_for(&descriptor, &config).policy(policy).build();
        let node = bench.factory.create(&flowcore::NodeConfig::default()).unwrap();
        node.execute(ctx).await
    };
    assert_eq!(run(Policy::deny_all()).await.unwrap_err().code(), "policy.host_denied");
    let only = Policy::deny_all().hosts(Access::Only(vec![format!("127.0.0.1:{port}")]));
    assert!(run(only).await.is_ok());
    for url in ["postgres://a@x,y.example/b", "postgres://a@x/b?hostaddr=10.0.0.1"] {
        let config = crate::testing::object(json!({ "database": url, "query": "SELECT 1" }));
        let only = Policy::deny_all().hosts(Access::Only(vec!["x".to_owned()]));
        let ctx = NodeContext::builder().config_for(&descriptor, &config).policy(only).build();
        let node = bench.factory.create(&flowcore::NodeConfig::default()).unwrap();
        assert_eq!(node.execute(ctx).await.unwrap_err().code(), "policy.host_denied", "{url}");
    }
}

#[tokio::test]
async fn servers_are_known_by_their_certificates() {
    let Some(authority) = testkit::Authority::new() else { return };
    let start = |name: &str| {
        let server = Postgres::start_encrypted(&authority.sign(name));
        server.or_else(|| {
            testkit::skipped("postgresql");
            None
        })
    };
    let (Some(server), Some(other)) = (start("IP:127.0.0.1"), start("DNS:other.example")) else {
        return;
    };
    let trusting = |server: &Postgres| {
        let certificate = CertificateDer::from_pem_slice(authority.certificate().as_bytes());
        let pools = Pools::trusting(certificate.unwrap());
        let factory = QueryFactory::with_pools(pools);
        Bench { factory, ..Bench::new(&format!("{}?sslmode=require", server.url())) }
    };
    let encrypted = json!({
        "query": "SELECT ssl AS it FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    });
    let bench = trusting(&server);
    assert_eq!(bench.rows(encrypted.clone()).await, r#"[{"it":true}]"#);
    // A request to stop a statement goes over a connection of its own.
    bench.cancelled("SELECT pg_sleep(1000)").await;
    // What the system does not trust is refused, and so is who it is not.
    let strange = Bench::new(&format!("{}?sslmode=require", server.url()));
    for bench in [strange, trusting(&other)] {
        let error = bench.fails(encrypted.clone(), "sql.connect").await;
        assert!(error.message().ends_with("its certificate is not trusted"), "{error:?}");
        assert!(error.hint().unwrap().contains("SSL_CERT_FILE") && !error.is_retryable());
    }
    // An encrypted connection is taken wherever it is offered, and then it is checked, too.
    Bench::new(&server.url()).fails(encrypted.clone(), "sql.connect").await;
    let plain = Bench::new(&format!("{}?sslmode=disable", other.url()));
    assert_eq!(plain.rows(encrypted).await, r#"[{"it":false}]"#);
}

#[tokio::test]
async fn a_secret_that_is_bound_is_not_repeated() {
    let Some((bench, _)) = bench() else { return };
    let config = json!({ "database": bench.database, "query": "SELECT $1::int" });
    let ctx = crate::testing::context(&bench.factory.descriptor(), bench.path(), config);
    let params = Value::try_from(vec![Value::from("s3cret").tainted()]).unwrap();
    let node = bench.factory.create(&flowcore::NodeConfig::default()).unwrap();
    let error = node.execute(ctx.input("params", params).build()).await.unwrap_err();
    assert_eq!(error.to_string(), "the statement failed (22P02)");
    assert!(!format!("{error:?}{:?}", error.hint()).contains("s3cret"));
}
