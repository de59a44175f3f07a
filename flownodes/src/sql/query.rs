//! `sql.query`.

use std::time::Duration;

use flowcore::{
    Effect, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeOutput,
    Port, Value, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::database::Database;
use super::params::{Params, ParamsSchema};
use super::result::Limits;
use super::statement;

const DESCRIPTION: &str = "\
Executes one statement and gives its rows. `database` is `sqlite://orders.db`, with a path that \
starts where relative paths start (`sqlite:///var/lib/orders.db` is absolute), or, where Flow is built with the feature `postgres`, \
`postgres://user:password@host/database`, best kept as a secret: no error and no log shows it.

The engine does not look into `query`: what is not fixed goes in through `params` and is bound, never \
pasted. An array is bound to `$1`, `$2`, …, an object to `:name`; both work on both databases. A query \
with a Flow expression in it is refused, and so are several statements and `BEGIN` or `COMMIT`: a node \
is one statement and its own transaction. A statement that gives rows, such as `INSERT … RETURNING`, \
is rolled back when the node fails, whatever the reason.

64-bit integers are exact. PostgreSQL's `numeric` comes as a string with every digit; bytes as bytes; \
`json` and `jsonb` as values; `timestamptz` in RFC 3339 in UTC, `timestamp` without an offset; `uuid` \
as a string; arrays as arrays; floats that JSON does not have as `\"NaN\"`, `\"Infinity\"` and \
`\"-Infinity\"`. Other types of PostgreSQL fail with `sql.unsupported_type`; cast them, \
`duration::text`. SQLite has integers, floats, text and bytes; there, true and false are bound as 1 \
and 0, and arrays and objects as JSON.

The attempt ends, and the database stops the statement, after `timeout_ms` and when it is cancelled. \
More rows than `max_rows`, or more bytes than `max_bytes`, fail the node while they come in. A lost \
connection, a conflict with another transaction and a locked database may be tried again; a syntax \
error and a broken constraint may not. Where repeating hurts, as with an `INSERT` without a key, set \
`\"effect\": \"once\"` on the node.

With `read_only`, the database itself refuses to change anything. On SQLite, `ATTACH` and \
`VACUUM INTO` are refused, because they reach other files. Connections to PostgreSQL are encrypted \
when the server can (`?sslmode=require` insists), with the certificates that the system trusts; they \
are shared by all executions, ten at most for each `database`, and closed after a minute without use.";

/// The config of `sql.query`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueryConfig {
    /// The database: `sqlite://path`, or `postgres://user:password@host:port/database`.
    database: String,
    /// The statement.
    query: String,
    /// Whether the database refuses to change anything; the effect of the node is then `read`.
    #[serde(default)]
    read_only: bool,
    /// The most rows that are taken.
    #[serde(default = "max_rows")]
    max_rows: usize,
    /// The most bytes that the rows may have, as compact JSON, roughly.
    #[serde(default = "max_bytes")]
    max_bytes: usize,
    /// How long everything may take, connecting included, in milliseconds.
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
}

fn max_rows() -> usize {
    10_000
}

/// What the output of a node may have.
fn max_bytes() -> usize {
    64 * 1024 * 1024
}

fn timeout_ms() -> u64 {
    30_000
}

/// What a database is asked to do.
pub(super) struct Request {
    pub(super) query: String,
    pub(super) params: Params,
    pub(super) read_only: bool,
    pub(super) limits: Limits,
    pub(super) timeout: Duration,
}

/// Makes `sql.query` nodes, which share their connections.
#[derive(Default)]
pub(super) struct QueryFactory {
    #[cfg(feature = "postgres")]
    pools: std::sync::Arc<super::postgres::Pools>,
}

#[cfg(all(test, feature = "postgres"))]
impl QueryFactory {
    pub(super) fn with_pools(pools: super::postgres::Pools) -> Self {
        Self { pools: std::sync::Arc::new(pools) }
    }

    pub(super) fn pools(&self) -> &super::postgres::Pools {
        &self.pools
    }
}

impl NodeFactory for QueryFactory {
    fn node_type(&self) -> &str {
        "sql.query"
    }

    fn create(&self, config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        if let Some(query) = config.get("query").and_then(Value::as_str) {
            statement::check(query)?;
        }
        Ok(Box::new(QueryNode {
            #[cfg(feature = "postgres")]
            pools: self.pools.clone(),
        }))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("sql.query")
            .summary("Execute an SQL statement on SQLite or PostgreSQL")
            .description(DESCRIPTION)
            .input(
                Port::new("params")
                    .description(
                        "What is bound: an array for `$1`, `$2`, …, or an object for `:name`.",
                    )
                    .typed::<ParamsSchema>(),
            )
            .output(
                Port::new("rows")
                    .description("The rows: objects with the columns in their order.")
                    .typed::<Vec<serde_json::Map<String, serde_json::Value>>>(),
            )
            .output(Port::new("row_count").description("How many rows there are.").typed::<u64>())
            .output(
                Port::new("columns")
                    .description("The names of the columns, in order.")
                    .typed::<Vec<String>>(),
            )
            .output(
                Port::new("rows_affected")
                    .description("How many rows the statement inserted, updated or deleted.")
                    .typed::<u64>(),
            )
            .config::<QueryConfig>()
            .raw_fields(&["query"])
            .effect(Effect::Idempotent)
            .effect_of(effect_of)
            .stateless()
            .example(
                "Read rows",
                json!({
                    "database": "sqlite://orders.db",
                    "query": "SELECT id, customer, amount FROM orders WHERE amount >= $1 ORDER BY id",
                    "read_only": true,
                }),
                json!({ "params": [20] }),
                json!({
                    "rows": [
                        { "id": 2, "customer": "grace", "amount": 20 },
                        { "id": 3, "customer": "ada", "amount": 42 },
                    ],
                    "row_count": 2,
                    "columns": ["id", "customer", "amount"],
                    "rows_affected": 0,
                }),
            )
            .example(
                "Insert a row once, with names for what is bound",
                json!({
                    "database": "sqlite://orders.db",
                    "query": "INSERT INTO orders (id, customer, amount) VALUES (:id, :customer, :amount) ON CONFLICT (id) DO NOTHING",
                }),
                json!({ "params": { "id": 4, "customer": "linus", "amount": 7 } }),
                json!({ "rows": [], "row_count": 0, "columns": [], "rows_affected": 1 }),
            )
    }
}

fn effect_of(config: &NodeConfig) -> Effect {
    match config.get("read_only").and_then(Value::as_bool) {
        Some(true) => Effect::Read,
        _ => Effect::Idempotent,
    }
}

struct QueryNode {
    #[cfg(feature = "postgres")]
    pools: std::sync::Arc<super::postgres::Pools>,
}

#[async_trait]
impl Node for QueryNode {
    fn node_type(&self) -> &str {
        "sql.query"
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<QueryConfig>()?;
        statement::check(&config.query)?;
        let secret = ctx.config_object().get("database").is_some_and(Value::is_tainted);
        let request = Request {
            query: config.query.clone(),
            params: Params::of(&ctx)?,
            read_only: config.read_only,
            limits: Limits { rows: config.max_rows, bytes: config.max_bytes },
            timeout: Duration::from_millis(config.timeout_ms),
        };
        match Database::read(&config.database)? {
            #[cfg(feature = "sqlite")]
            Database::Sqlite(path) => super::sqlite::run(&ctx, &path, secret, request).await,
            #[cfg(feature = "postgres")]
            Database::Postgres(database) => {
                super::postgres::run(&ctx, &self.pools, *database, secret, request).await
            }
        }
    }
}
