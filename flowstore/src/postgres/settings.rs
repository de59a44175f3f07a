//! What a URL says about a store.

use std::time::Duration;

use flowruntime::store::StoreError;
use tokio_postgres::Config;

use crate::StoreUrl;

/// Servers take 100 connections by default, and several processes share them.
const POOL: usize = 8;

/// A pool that gives no connection for so long is not only busy for a moment.
const WAIT: Duration = Duration::from_secs(30);

/// Long enough that a busy machine does not lose its executions, short enough that others do not wait
/// long for those of a machine that is gone.
const LEASE: Duration = Duration::from_secs(15);

/// The longest wait for a server to take a connection, unless the URL has its own `connect_timeout`.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A server that is silent for so long is asked whether it is there; the system's two hours are too
/// long for an owner.
const SILENCE: Duration = Duration::from_secs(15);

/// What a URL says.
#[derive(Clone)]
pub(super) struct Settings {
    /// How to connect.
    pub(super) config: Config,
    /// The schema that has all tables.
    pub(super) schema: String,
    /// How many connections there are for what needs no order.
    pub(super) pool: usize,
    /// How long a request may wait for a connection.
    pub(super) wait: Duration,
    /// How long an owner counts as living.
    pub(super) lease: Duration,
    /// The URL without its password.
    pub(super) shown: String,
}

impl Settings {
    /// Reads a URL. Its parameters `schema`, `pool`, `wait_ms` and `lease_ms` are of this store, the others of
    /// the client.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let shown = StoreUrl::Postgres(url.to_owned()).to_string();
        let bad = |message: String| StoreError::BadUrl { url: shown.clone(), message };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut schema, mut pool) = ("flow".to_owned(), POOL);
        let (mut wait, mut lease) = (WAIT, LEASE);
        let mut others = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "schema" if is_schema(value) => value.clone_into(&mut schema),
                "schema" => {
                    let rule = "`schema` has at most 48 lower-case letters, digits and `_`";
                    return Err(bad(rule.to_owned()));
                }
                "pool" => pool = number(value).map_err(|()| bad(not_positive(name)))?,
                "wait_ms" => wait = millis(value).map_err(|()| bad(not_positive(name)))?,
                "lease_ms" => lease = millis(value).map_err(|()| bad(not_positive(name)))?,
                _ => others.push(parameter),
            }
        }
        let config = [base, &others.join("&")].join(if others.is_empty() { "" } else { "?" });
        // What the client says about a URL may repeat parts of it.
        let mut config: Config =
            config.parse().map_err(|_| bad("it is no URL of PostgreSQL".to_owned()))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_LIMIT);
        }
        if config.get_application_name().is_none() {
            config.application_name("flow");
        }
        if !query.contains("keepalives_idle") {
            config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 3).keepalives_retries(3);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(2 * SILENCE);
        }
        Ok(Self { config, schema, pool, wait, lease, shown })
    }
}

/// It stands in statements between quotes, and in the name of a channel.
fn is_schema(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=48).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn number(text: &str) -> Result<usize, ()> {
    text.parse().ok().filter(|number| *number > 0).ok_or(())
}

fn millis(text: &str) -> Result<Duration, ()> {
    let millis = number(text)?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

fn not_positive(name: &str) -> String {
    format!("`{name}` is a whole number above 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_store_are_not_given_to_the_client() {
        let url =
            "postgres://u:p@localhost/db?pool=3&sslmode=disable&schema=a_1&lease_ms=500&wait_ms=70";
        let settings = Settings::read(url).unwrap();
        assert_eq!((settings.pool, settings.schema.as_str()), (3, "a_1"));
        assert_eq!(settings.lease, Duration::from_millis(500));
        assert_eq!(settings.wait, Duration::from_millis(70));
        assert_eq!(settings.config.get_ssl_mode(), tokio_postgres::config::SslMode::Disable);
        assert_eq!(settings.config.get_application_name(), Some("flow"));
        let settings = Settings::read("postgres://u@localhost/db").unwrap();
        assert_eq!((settings.pool, settings.schema.as_str()), (POOL, "flow"));
        assert_eq!((settings.wait, settings.lease), (WAIT, LEASE));
    }

    #[test]
    fn a_bad_url_is_named_without_its_password() {
        for query in
            ["pool=0", "pool=x", "lease_ms=-1", "wait_ms=0", "schema=A", "schema=", "unknown=1"]
        {
            let error = Settings::read(&format!("postgres://u:s3cret@h/db?{query}")).err().unwrap();
            assert!(matches!(error, StoreError::BadUrl { .. }), "{query}: {error:?}");
            assert!(!format!("{error:?}{error}").contains("s3cret"), "{error:?}");
        }
    }
}
