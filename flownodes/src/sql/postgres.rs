//! `sql.query` on PostgreSQL.

mod bind;
mod decode;
mod failure;
mod numeric;
mod pools;
mod session;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flowcore::{NodeContext, NodeError, NodeOutput, Policy};
use futures_util::TryStreamExt as _;
use tokio_postgres::config::Host;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Config};

pub(super) use self::pools::Pools;
use self::session::Session;
use super::error::{STOPPED, cancelled, timed_out};
use super::params::Place;
use super::query::Request;
use super::result::Rows;
use super::statement::{has_word, number_names};
use crate::error::without_secret;

/// How long a server may take to stop a statement before its connection is given up.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The statement that is under way, for stopping it.
type Running = Mutex<Option<CancelToken>>;

/// Runs one statement. Once this returns, the statement has ended, unless the server could not be
/// reached to say so; when it is dropped, the server is told to stop it.
pub(super) async fn run(
    ctx: &NodeContext,
    pools: &Pools,
    database: Config,
    secret: bool,
    request: Request,
) -> Result<NodeOutput, NodeError> {
    check_hosts(ctx.policy(), &database).map_err(|error| without_secret(error, secret))?;
    let running = Running::default();
    let limit = request.timeout;
    let mut work = std::pin::pin!(execute(pools, database, &request, &running));
    let why = tokio::select! {
        biased;
        done = &mut work => return done,
        reason = ctx.cancellation().cancelled() => cancelled(reason),
        () = tokio::time::sleep(limit) => timed_out(limit),
    };
    let token = running.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(token) = token else { return Err(why) };
    let stopped = async {
        // Without an answer, there is nothing to wait for.
        token.cancel_query(pools.tls().await?).await.ok()?;
        Some(work.await)
    };
    match tokio::time::timeout(STOP_LIMIT, stopped).await {
        // It was faster: what happened is told, not what was meant.
        Ok(Some(Ok(output))) => Ok(output),
        Ok(Some(Err(error))) if error.code() != STOPPED => Err(error),
        _ => Err(why),
    }
}

/// Asks the policy about every server that the client may try.
fn check_hosts(policy: &Policy, database: &Config) -> Result<(), NodeError> {
    let ports = database.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().or(Some(5432));
    for (index, host) in database.get_hosts().iter().enumerate() {
        match host {
            Host::Tcp(host) => policy.check_host(host, port(index))?,
            #[cfg(unix)]
            Host::Unix(folder) => {
                policy.write_path(&folder.to_string_lossy())?;
            }
        }
    }
    for (index, address) in database.get_hostaddrs().iter().enumerate() {
        policy.check_host(&address.to_string(), port(index))?;
    }
    Ok(())
}

async fn execute(
    pools: &Pools,
    database: Config,
    request: &Request,
    running: &Running,
) -> Result<NodeOutput, NodeError> {
    let session = Session::open(pools, database).await?;
    *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.cancel_token());
    let result = in_session(&session, request).await;
    session.close(result.is_ok()).await;
    result
}

/// Prepares, binds and executes; what failed may leave a transaction open.
async fn in_session(session: &Session, request: &Request) -> Result<NodeOutput, NodeError> {
    let failed = |error: tokio_postgres::Error| failure::of_statement(request, &error);
    let (query, names) = if request.params.is_named() {
        number_names(&request.query)
    } else {
        (request.query.clone(), Vec::new())
    };
    let client = session.client();
    let statement = client.prepare(&query).await.map_err(failed)?;
    let types = statement.params();
    let places: Vec<Place<'_>> = if request.params.is_named() {
        names.into_iter().map(Place::Named).collect()
    } else {
        (1..=types.len()).map(Place::At).collect()
    };
    let values = request.params.in_order(&places)?;
    let bound = (1..).zip(&values).zip(types);
    let bound = bound.map(|((number, value), ty)| bind::bind(number, value, ty));
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    let columns = statement.columns();
    for column in columns {
        decode::check(column.name(), column.type_())?;
    }
    let mut rows = Rows::new(columns.iter().map(|column| column.name()), request.limits)?;
    // What gives rows is undone when they are too many; what does not may be of the kind that
    // cannot be inside of a transaction, such as `VACUUM`.
    let begin = match (request.read_only, columns.is_empty()) {
        (true, _) => Some("BEGIN READ ONLY"),
        (false, false) => Some("BEGIN"),
        (false, true) => None,
    };
    if let Some(begin) = begin {
        client.batch_execute(begin).await.map_err(failed)?;
    }
    let bound = bound.iter().map(|value| value as &(dyn ToSql + Sync));
    let stream = client.query_raw(&statement, bound).await.map_err(failed)?;
    let mut stream = std::pin::pin!(stream);
    while let Some(row) = stream.try_next().await.map_err(failed)? {
        rows.push(|index, name| {
            let raw: Option<decode::Raw<'_>> = row.try_get(index).map_err(failed)?;
            decode::decode(name, row.columns()[index].type_(), raw)
        })?;
    }
    let affected = stream.rows_affected().unwrap_or(0);
    // A `SELECT` counts its rows, which it did not change.
    let has_changed = columns.is_empty() || has_word(&request.query, "returning");
    let changed = if has_changed { affected } else { 0 };
    if begin.is_some() {
        client.batch_execute("COMMIT").await.map_err(failed)?;
    }
    rows.output(changed)
}

#[cfg(test)]
mod tests;
