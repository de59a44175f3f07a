//! New executions, many in one statement.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::{Digest, ExecutionId, Value};
use flowruntime::store::{Created, KEY_LIFE, NewExecution, StoreError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};
use uuid::Uuid;

use super::convert::int;

/// The items, each with another id and another key. What exists already changes nothing. All is
/// inserted in the same order everywhere, so that two processes never wait for each other.
const CREATE: &str = "
    WITH item AS (SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::int8[], $6::uuid[], $7::int8[],
        $8::bytea[], $9::bytea[], $10::bytea[], $18::text[], $19::int8[]
     ) AS i(id, workflow_id, definition, owner, created_at, rerun_of, format,
            start, key, fingerprint, project, version)
       WHERE NOT EXISTS (SELECT FROM executions e WHERE e.id = i.id)
    ), living AS (
        SELECT id FROM owners WHERE id = ANY($4) AND lease_until >= clock_timestamp()
        FOR KEY SHARE
    ), named AS (
        INSERT INTO keys AS k (project, key, fingerprint, execution, created_at)
        SELECT project, key, fingerprint, id, created_at FROM item
        WHERE key IS NOT NULL ORDER BY project, key
        ON CONFLICT (project, key) DO UPDATE SET
            fingerprint = excluded.fingerprint, execution = excluded.execution,
            created_at = excluded.created_at
        WHERE k.created_at <= (
            GREATEST(excluded.created_at, -9000000000000000000) - $11::int8
        )
        RETURNING project, key
    ), made AS (
        INSERT INTO executions (
            id, workflow_id, definition, status, fence, owner, created_at, due_at, rerun_of, format,
            start, key, project, version
        )
        SELECT i.id, i.workflow_id, i.definition, 'Queued', CASE WHEN l.id IS NULL THEN 0 ELSE 1 END,
            l.id, i.created_at, i.created_at, i.rerun_of, i.format, i.start, i.key,
            i.project, i.version
        FROM item i LEFT JOIN living l ON l.id = i.owner
        WHERE i.key IS NULL OR (i.project, i.key) IN (SELECT project, key FROM named) ORDER BY i.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, definition
    ), defined AS (
        INSERT INTO definitions (digest, body)
        SELECT d.digest, d.body FROM unnest($12::bytea[], $13::bytea[]) AS d(digest, body)
        WHERE (d.digest IN (SELECT definition FROM made)) IS TRUE ORDER BY d.digest
        ON CONFLICT (digest) DO NOTHING
    ), used AS (
        SELECT u.execution, u.digest FROM unnest($14::uuid[], $15::bytea[]) AS u(execution, digest)
        WHERE (u.execution IN (SELECT id FROM made)) IS TRUE
    ), blob AS (
        INSERT INTO blobs (digest, body)
        SELECT b.digest, b.body FROM unnest($16::bytea[], $17::bytea[]) AS b(digest, body)
        WHERE (b.digest IN (SELECT digest FROM used)) IS TRUE ORDER BY b.digest
        ON CONFLICT (digest) DO NOTHING
    ), usage AS (
        INSERT INTO blob_uses (execution, digest) SELECT execution, digest FROM used
        ON CONFLICT (execution, digest) DO NOTHING
    )
    SELECT id FROM made";

/// What an item that made nothing runs into: the key, when it is known, before the id.
const FIND: &str = "
    SELECT k.fingerprint, k.execution FROM keys k
    WHERE k.project = $4 AND k.key = $1 AND k.created_at > $2
    UNION ALL
    SELECT NULL, e.id FROM executions e WHERE e.id = $3";

/// The statements, prepared in a session.
pub(super) struct Statements {
    create: Statement,
    find: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self { create: client.prepare(CREATE).await?, find: client.prepare(FIND).await? })
    }
}

/// Accepts executions, which have different ids and keys; gives those that were made.
pub(super) async fn create(
    client: &Client,
    statements: &Statements,
    items: &[&NewExecution],
) -> Result<BTreeSet<ExecutionId>, Error> {
    let columns = Columns::of(items);
    let rows = client.query(&statements.create, &columns.params()).await?;
    rows.iter().map(|row| Ok(ExecutionId::from_uuid(row.try_get(0)?))).collect()
}

/// What to say about an execution that was not made; `None` when it would be made now.
pub(super) async fn find(
    client: &Client,
    statements: &Statements,
    new: &NewExecution,
) -> Result<Option<Result<Created, StoreError>>, Error> {
    let key = key_digest(new);
    let key_bytes = key.as_ref().map(|key| key.as_bytes().as_slice());
    let project = new.project.as_str();
    let params: [&(dyn ToSql + Sync); 4] =
        [&key_bytes, &forgotten(new), &new.id.as_uuid(), &project];
    let rows = client.query(&statements.find, &params).await?;
    let mut by_id = None;
    for row in &rows {
        let id = ExecutionId::from_uuid(row.try_get(1)?);
        match (row.try_get::<_, Option<&[u8]>>(0)?, &new.key) {
            (Some(known), Some(key)) if known == key.fingerprint.as_bytes() => {
                return Ok(Some(Ok(Created::Existing(id))));
            }
            (Some(_), Some(key)) => {
                return Ok(Some(Err(StoreError::KeyConflict { key: key.key.clone() })));
            }
            _ => by_id = Some(Ok(Created::Existing(id))),
        }
    }
    Ok(by_id)
}

/// The digest under which the key of a start is kept.
pub(super) fn key_digest(new: &NewExecution) -> Option<Digest> {
    new.key.as_ref().map(|key| Digest::of(&Value::from(key.key.as_str())))
}

/// A key that was used at this time or before is not known any more.
fn forgotten(new: &NewExecution) -> i64 {
    new.created_at.as_micros().saturating_sub(int(KEY_LIFE.as_micros()))
}

#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    workflows: Vec<&'a str>,
    definitions: Vec<&'a [u8]>,
    owners: Vec<Option<Uuid>>,
    created_at: Vec<i64>,
    reruns: Vec<Option<Uuid>>,
    formats: Vec<i64>,
    starts: Vec<&'a [u8]>,
    keys: Vec<Option<Vec<u8>>>,
    fingerprints: Vec<Option<&'a [u8]>>,
    key_life: i64,
    definition_digests: Vec<&'a [u8]>,
    definition_texts: Vec<&'a [u8]>,
    users: Vec<Uuid>,
    used: Vec<&'a [u8]>,
    digests: Vec<&'a [u8]>,
    blobs: Vec<&'a [u8]>,
    projects: Vec<&'a str>,
    versions: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    fn of(items: &[&'a NewExecution]) -> Self {
        let mut columns = Self { key_life: int(KEY_LIFE.as_micros()), ..Self::default() };
        let mut definitions: BTreeMap<&Digest, &[u8]> = BTreeMap::new();
        let mut blobs: BTreeMap<&Digest, &[u8]> = BTreeMap::new();
        for item in items {
            let definition = &item.definition;
            definitions.entry(&definition.digest).or_insert(definition.text.as_bytes());
            columns.ids.push(item.id.as_uuid());
            columns.workflows.push(item.workflow_id.as_str());
            columns.definitions.push(definition.digest.as_bytes());
            columns.owners.push(item.owner.map(|owner| owner.0));
            columns.created_at.push(item.created_at.as_micros());
            columns.reruns.push(item.rerun_of.map(|id| id.as_uuid()));
            columns.formats.push(item.format.into());
            columns.projects.push(item.project.as_str());
            columns.versions.push(item.version.map(int));
            columns.starts.push(&item.start);
            columns.keys.push(key_digest(item).map(|key| key.as_bytes().to_vec()));
            let fingerprint = item.key.as_ref().map(|key| key.fingerprint.as_bytes().as_slice());
            columns.fingerprints.push(fingerprint);
            for blob in &item.blobs {
                blobs.entry(&blob.digest).or_insert(&blob.bytes);
                columns.users.push(item.id.as_uuid());
                columns.used.push(blob.digest.as_bytes());
            }
        }
        for (digest, text) in definitions {
            columns.definition_digests.push(digest.as_bytes());
            columns.definition_texts.push(text);
        }
        for (digest, bytes) in blobs {
            columns.digests.push(digest.as_bytes());
            columns.blobs.push(bytes);
        }
        columns
    }

    fn params(&self) -> [&(dyn ToSql + Sync); 19] {
        [
            &self.ids,
            &self.workflows,
            &self.definitions,
            &self.owners,
            &self.created_at,
            &self.reruns,
            &self.formats,
            &self.starts,
            &self.keys,
            &self.fingerprints,
            &self.key_life,
            &self.definition_digests,
            &self.definition_texts,
            &self.users,
            &self.used,
            &self.digests,
            &self.blobs,
            &self.projects,
            &self.versions,
        ]
    }
}
