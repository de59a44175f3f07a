use flowruntime::store::{Created, NewExecution, Query, Store as _, StoreError};
use flowstore::{Access, Catalog as _, Committed, Expect, PostgresStore};

use super::{client, executing, new_schema};
use crate::stage::{at, digest, entry, id, key, key_of, new, project, put};

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let Some(server) = testkit::postgres() else { return };
    let schema = new_schema();
    let url = format!("{}?sslmode=disable&schema={schema}", server.url());
    drop(executing(&url).await);
    let newer = format!("INSERT INTO {schema}.versions VALUES (7, now())");
    client(&server.url()).await.batch_execute(&newer).await.unwrap();
    for access in [Access::Execute, Access::Visit] {
        let error = PostgresStore::connect(&url, access).await.err();
        assert_eq!(error, Some(StoreError::TooNew { found: 7, known: 2 }));
    }
}

/// What a store of the first version had.
const FIRST: &str = "
    INSERT INTO executions (id, workflow_id, definition, status, fence, created_at, due_at, format,
        start, key)
    VALUES ('01900000-0000-7000-0000-000000000001', 'orders', sha256(''), 'Queued', 0, 1, 1, 1, '',
        NULL);";

#[tokio::test]
async fn tables_of_the_first_version_are_brought_up_to_date() {
    let Some(server) = testkit::postgres() else { return };
    let schema = new_schema();
    let first = include_str!("../../../src/postgres/migrations/1.sql");
    let client = client(&server.url()).await;
    let made = format!(
        "CREATE SCHEMA {schema}; SET search_path TO {schema}; {first}; {FIRST}
         CREATE TABLE versions (version int8 PRIMARY KEY, made_at timestamptz NOT NULL);
         INSERT INTO versions VALUES (1, now());"
    );
    client.batch_execute(&made).await.unwrap();
    // The start key `k`, as the first version kept it.
    let name = digest("k").as_bytes().to_vec();
    let named =
        "INSERT INTO keys (key, fingerprint, execution, created_at) VALUES ($1, $2, $3, $4)";
    let (print, now) = (digest("f").as_bytes().to_vec(), at(0).as_micros());
    client.execute(named, &[&name, &print, &id(1).as_uuid(), &now]).await.unwrap();
    let url = format!("{}?sslmode=disable&schema={schema}", server.url());
    // Several at once: one does it.
    let opened = futures_util::future::join_all((0..4).map(|_| executing(&url))).await;
    let store = &opened[0];
    let rows = store.executions(&Query::default()).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.id, row.version)).collect::<Vec<_>>(), [(id(1), None)]);
    let again = NewExecution { key: key("k", "f"), ..new(2) };
    assert_eq!(store.create(again.clone()).await, Ok(Created::Existing(id(1))));
    let elsewhere = NewExecution { project: project("p"), ..again };
    assert_eq!(store.create(elsewhere).await, Ok(Created::New));
    let put = put(&key_of("p", "workflow", "w"), Expect::Absent, "{}");
    let committed = store.commit(at(1), vec![put], vec![entry(1, None, "said")]).await;
    assert_eq!(committed, Ok(Committed::Done(vec![1])));
}

#[tokio::test]
async fn a_url_that_leads_nowhere_says_why_and_hides_its_password() {
    let Some(server) = testkit::postgres() else { return };
    let (user, password) = (server.user(), server.password());
    for (url, code, text) in [
        (server.url_with(user, "wr0ng", "postgres"), "store.bad_url", "the password is wrong"),
        (server.url_with(user, password, "n0where"), "store.bad_url", "no such database"),
        (
            format!("postgres://{user}:{password}@127.0.0.1:{}/x", testkit::unused_port()),
            "store.unavailable",
            "out of reach",
        ),
    ] {
        let url = format!("{url}?sslmode=disable");
        let error = PostgresStore::connect(&url, Access::Visit).await.err().unwrap();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        let shown = format!("{error:?}{error}");
        assert!(!shown.contains(password) && !shown.contains("wr0ng"), "{shown}");
    }
}

#[tokio::test]
async fn a_visitor_does_not_execute() {
    let Some(url) = super::new_url() else { return };
    let visitor = PostgresStore::connect(&url, Access::Visit).await.unwrap();
    assert_eq!(visitor.enter().await, Err(StoreError::NotExecuting));
}
