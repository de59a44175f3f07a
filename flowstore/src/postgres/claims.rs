//! Claims: executions that nobody executes find an owner.

use std::sync::{Arc, Mutex, PoisonError};

use flowcore::{EVENT_FORMAT, ExecutionId, Timestamp};
use flowruntime::store::{Claim, Claimed, OwnerId, StoreError};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::convert::{get, int, time, unsigned};
use super::pool::Lent;

/// What can be claimed, but for when. The index `executions_due` has no other rows.
macro_rules! claimable {
    () => {
        "e.owner IS NULL AND e.ended_at IS NULL AND e.format <= $1"
    };
}

/// While its row is held so, an owner is not found dead.
macro_rules! living {
    () => {
        "WITH me AS (
            SELECT id FROM owners WHERE id = $2 AND lease_until >= clock_timestamp() FOR KEY SHARE
         ) "
    };
}

const CLAIM: &str = concat!(
    living!(),
    ", due AS (
        SELECT e.id, e.due_at FROM executions e
        WHERE EXISTS (SELECT FROM me) AND ",
    claimable!(),
    "   AND e.due_at <= $4 ORDER BY e.due_at, e.id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED
     )
     UPDATE executions e SET owner = $2, claim = $3, fence = e.fence + 1
     FROM due d WHERE e.id = d.id RETURNING e.id, e.fence, d.due_at"
);

const NEXT: &str = concat!(
    "SELECT e.due_at FROM executions e
     WHERE EXISTS (SELECT FROM owners WHERE id = $2 AND lease_until >= clock_timestamp()) AND ",
    claimable!(),
    " AND e.due_at IS NOT NULL ORDER BY e.due_at, e.id LIMIT 1"
);

const CLAIM_ONE: &str = concat!(
    living!(),
    "UPDATE executions e SET owner = $2, claim = $3, fence = e.fence + 1
     WHERE e.id = $4 AND EXISTS (SELECT FROM me) AND ",
    claimable!(),
    " RETURNING e.id, e.fence, e.due_at"
);

const GIVE_BACK: &str = "UPDATE executions SET owner = NULL, claim = NULL, due_at = 0
    WHERE owner = $1 AND claim = ANY($2)";

/// Claims that were made, or may have been, and whose answer nobody got: what they took would belong
/// to somebody who does not know it. It is given back before the next claim of their owner.
#[derive(Clone, Default)]
pub(super) struct Lost(Arc<Mutex<Vec<(OwnerId, Uuid)>>>);

impl Lost {
    fn push(&self, owner: OwnerId, claim: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((owner, claim));
    }

    fn of(&self, owner: OwnerId) -> Vec<Uuid> {
        let lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.iter().filter(|(of, _)| *of == owner).map(|(_, claim)| *claim).collect()
    }

    fn forget(&self, given_back: &[Uuid]) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.retain(|(_, claim)| !given_back.contains(claim));
    }
}

/// What a claim gave, on its way to whoever asked. When it does not arrive, it is lost.
pub(super) struct Parcel<T> {
    result: Option<Result<T, StoreError>>,
    owner: OwnerId,
    claim: Uuid,
    lost: Lost,
}

impl<T> Parcel<T> {
    /// A parcel for the answer to a claim that is about to be made.
    pub(super) fn new(owner: OwnerId, lost: Lost) -> Self {
        Self { result: None, owner, claim: Uuid::now_v7(), lost }
    }

    pub(super) fn claim(&self) -> Uuid {
        self.claim
    }

    pub(super) fn fill(mut self, result: Result<T, StoreError>) -> Self {
        self.result = Some(result);
        self
    }

    /// Takes what is inside: it has arrived.
    pub(super) fn open(mut self) -> Result<T, StoreError> {
        match self.result.take() {
            Some(Ok(value)) => {
                // It is dropped like all others, but with nothing to give back.
                self.claim = Uuid::nil();
                Ok(value)
            }
            Some(Err(error)) => Err(error),
            None => Err(StoreError::Closed),
        }
    }
}

impl<T> Drop for Parcel<T> {
    fn drop(&mut self) {
        if !self.claim.is_nil() {
            self.lost.push(self.owner, self.claim);
        }
    }
}

/// Claims what is due.
pub(super) async fn claim(
    lent: &Lent,
    (owner, claim): (OwnerId, Uuid),
    now: Timestamp,
    limit: usize,
    lost: &Lost,
) -> Result<Claimed, StoreError> {
    let (format, now, limit) = (i64::from(EVENT_FORMAT), now.as_micros(), int(limit));
    lent.execute("BEGIN").await?;
    let given_back = give_back(lent, owner, lost).await?;
    let params: [&(dyn ToSql + Sync); 5] = [&format, &owner.0, &claim, &now, &limit];
    let rows = lent.query(CLAIM, &params).await?;
    let next = lent.query(NEXT, &[&format, &owner.0]).await?;
    lent.execute("COMMIT").await?;
    lost.forget(&given_back);
    let mut claims = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = ExecutionId::from_uuid(get(row, 0, "an id")?);
        claims.push((time(row, 2)?, Claim { execution: id, fence: unsigned(row, 1)? }));
    }
    claims.sort_by_key(|(due_at, claim)| (*due_at, claim.execution));
    let executions = claims.into_iter().map(|(_, claim)| claim).collect();
    let next_at = next.first().map(|row| time(row, 0)).transpose()?.flatten();
    Ok(Claimed { executions, next_at })
}

/// Claims one execution.
pub(super) async fn claim_one(
    lent: &Lent,
    (owner, claim): (OwnerId, Uuid),
    execution: ExecutionId,
    lost: &Lost,
) -> Result<Option<Claim>, StoreError> {
    lent.execute("BEGIN").await?;
    let given_back = give_back(lent, owner, lost).await?;
    let format = i64::from(EVENT_FORMAT);
    let params: [&(dyn ToSql + Sync); 4] = [&format, &owner.0, &claim, &execution.as_uuid()];
    let rows = lent.query(CLAIM_ONE, &params).await?;
    lent.execute("COMMIT").await?;
    lost.forget(&given_back);
    let claim = rows.first().map(|row| {
        let fence = unsigned(row, 1)?;
        Ok(Claim { execution, fence })
    });
    claim.transpose()
}

async fn give_back(lent: &Lent, owner: OwnerId, lost: &Lost) -> Result<Vec<Uuid>, StoreError> {
    let claims = lost.of(owner);
    if !claims.is_empty() {
        lent.query(GIVE_BACK, &[&owner.0, &claims]).await?;
    }
    Ok(claims)
}
