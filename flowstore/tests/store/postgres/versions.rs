use flowruntime::store::StoreError;
use flowstore::{Access, PostgresStore};

use super::{client, executing, new_schema};

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
    use flowruntime::store::Store as _;

    let Some(url) = super::new_url() else { return };
    let visitor = PostgresStore::connect(&url, Access::Visit).await.unwrap();
    assert_eq!(visitor.enter().await, Err(StoreError::NotExecuting));
}
