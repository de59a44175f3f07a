//! Messages for executions.

use flowcore::ExecutionId;
use flowruntime::store::{AuditEntry, MAX_WAITING, Message, OwnerId, Sent, StoreError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::convert::{self, get, int};
use super::failure::{self, unavailable};
use super::pool::Lent;
use super::records::{WRITE_DOWN, write_down};
use crate::chain::Chain;

/// How often a message is sent that others come in the way of.
const TRIES: usize = 5;

/// The row of the execution counts its messages, so that who lets it go sees one that comes at the
/// same moment.
const SEND: &str = "
    WITH hit AS (
        UPDATE executions e SET
            waiting = e.waiting + 1,
            due_at = CASE WHEN e.owner IS NULL THEN 0 ELSE e.due_at END
        WHERE e.id = $1 AND e.ended_at IS NULL AND e.waiting < $5
            AND NOT EXISTS (SELECT FROM inbox m WHERE m.execution = $1 AND m.id = $2)
        RETURNING e.id
    )
    INSERT INTO inbox (execution, id, at, body) SELECT id, $2, $3, $4 FROM hit RETURNING id";

/// Why a message was not kept.
const JUDGE: &str = "
    SELECT e.ended_at IS NOT NULL,
        EXISTS (SELECT FROM inbox m WHERE m.execution = e.id AND m.id = $2), e.waiting >= $3
    FROM executions e WHERE e.id = $1";

const INBOX: &str = "
    SELECT m.id, m.at, m.body, m.execution
    FROM executions e JOIN inbox m ON m.execution = e.id
    WHERE e.owner = $1 AND e.waiting > 0 ORDER BY m.at, m.id, m.execution";

/// Messages for an execution that has ended are still there, and are seen no more.
const MESSAGES: &str = "
    SELECT m.id, m.at, m.body FROM executions e JOIN inbox m ON m.execution = e.id
    WHERE e.id = $1 AND e.ended_at IS NULL ORDER BY m.at, m.id";

/// Keeps a message.
pub(super) async fn send(
    lent: &Lent,
    execution: ExecutionId,
    message: &Message,
) -> Result<Sent, StoreError> {
    let (id, most) = (execution.as_uuid(), int(MAX_WAITING));
    let at = message.at.as_micros();
    let params: [&(dyn ToSql + Sync); 5] = [&id, &message.id.0, &at, &message.body, &most];
    for _ in 0..TRIES {
        match lent.try_query(SEND, &params).await {
            Ok(rows) if !rows.is_empty() => return Ok(Sent::Kept),
            Ok(_) => {
                let rows = lent.query(JUDGE, &[&id, &message.id.0, &most]).await?;
                if let Some(verdict) = verdict(rows.first()).map_err(|error| failure::of(&error))? {
                    return Ok(verdict);
                }
            }
            // The same message came at the same moment.
            Err(error) if failure::is_duplicate(&error) => {}
            Err(error) => return Err(failure::of(&error)),
        }
    }
    Err(unavailable("other messages are in the way".to_owned()))
}

/// Keeps a message, and in the same transaction what the audit log says of it. `chain` has grown when
/// this returns without an error and the message was not kept before.
pub(super) async fn send_noted(
    lent: &Lent,
    execution: ExecutionId,
    message: &Message,
    entry: &AuditEntry,
    chain: &mut Chain,
) -> Result<Sent, StoreError> {
    let (id, most) = (execution.as_uuid(), int(MAX_WAITING));
    let at = message.at.as_micros();
    let params: [&(dyn ToSql + Sync); 5] = [&id, &message.id.0, &at, &message.body, &most];
    for _ in 0..TRIES {
        lent.execute("BEGIN").await?;
        match lent.try_query(SEND, &params).await {
            Ok(rows) if !rows.is_empty() => {
                let written = async {
                    let statement = lent.client().prepare_cached(WRITE_DOWN).await?;
                    write_down(lent.client(), &statement, chain, &[entry]).await
                };
                written.await.map_err(|error| failure::of(&error))?;
                lent.execute("COMMIT").await?;
                return Ok(Sent::Kept);
            }
            Ok(_) => {
                let rows = lent.query(JUDGE, &[&id, &message.id.0, &most]).await?;
                lent.execute("ROLLBACK").await?;
                if let Some(verdict) = verdict(rows.first()).map_err(|error| failure::of(&error))? {
                    return Ok(verdict);
                }
            }
            // The same message came at the same moment.
            Err(error) if failure::is_duplicate(&error) => lent.execute("ROLLBACK").await?,
            Err(error) => return Err(failure::of(&error)),
        }
    }
    Err(unavailable("other messages are in the way".to_owned()))
}

fn verdict(row: Option<&Row>) -> Result<Option<Sent>, Error> {
    let Some(row) = row else { return Ok(Some(Sent::NotFound)) };
    let (has_ended, is_kept, are_many) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(match (has_ended, is_kept, are_many) {
        (true, _, _) => Some(Sent::Finished),
        (false, true, _) => Some(Sent::Kept),
        (false, false, true) => Some(Sent::TooMany),
        (false, false, false) => None,
    })
}

/// The messages for executions of an owner.
pub(super) async fn inbox(
    lent: &Lent,
    owner: OwnerId,
) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
    let rows = lent.query(INBOX, &[&owner.0]).await?;
    let message = |row| {
        let execution = ExecutionId::from_uuid(get(row, 3, "an id")?);
        Ok((execution, convert::message(row)?))
    };
    rows.iter().map(message).collect()
}

/// The messages for an execution.
pub(super) async fn messages(
    lent: &Lent,
    execution: ExecutionId,
) -> Result<Vec<Message>, StoreError> {
    let rows = lent.query(MESSAGES, &[&execution.as_uuid()]).await?;
    rows.iter().map(convert::message).collect()
}
