-- Text that people write may hold NUL characters, which `text` does not take: it is `bytea`, in UTF-8.
-- Times are microseconds since 1970, but for those of leases, which only the database reads.

CREATE TABLE owners (
    id uuid PRIMARY KEY,
    -- Its session holds the advisory lock of this number.
    lock_key int8 NOT NULL,
    lease_until timestamptz NOT NULL,
    -- Since when its lock is free: its session is gone.
    missing_since timestamptz
);

CREATE TABLE definitions (
    digest bytea PRIMARY KEY,
    body bytea NOT NULL
);

CREATE TABLE executions (
    id uuid PRIMARY KEY,
    workflow_id text COLLATE "C" NOT NULL,
    definition bytea NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN (
        'Queued', 'Running', 'Waiting', 'Paused', 'Succeeded', 'Failed', 'Cancelled', 'TimedOut'
    )),
    fence int8 NOT NULL,
    owner uuid,
    -- The call that gave it to its owner.
    claim uuid,
    last_seq int8 NOT NULL DEFAULT 0,
    created_at int8 NOT NULL,
    started_at int8,
    ended_at int8,
    wake_at int8,
    -- When it may be claimed, while nobody executes it; null is not by time.
    due_at int8,
    -- How many messages wait.
    waiting int8 NOT NULL DEFAULT 0,
    -- How many lines its log has.
    log_lines int8 NOT NULL DEFAULT 0,
    rerun_of uuid,
    format int8 NOT NULL,
    start bytea NOT NULL,
    key bytea,
    error bytea
    -- With room on each page, an append rewrites no index.
) WITH (fillfactor = 70);

CREATE INDEX executions_by_time ON executions (created_at, id);
CREATE INDEX executions_by_workflow ON executions (workflow_id, created_at, id);
CREATE INDEX executions_by_definition ON executions (definition);
CREATE INDEX executions_owned ON executions (owner) WHERE owner IS NOT NULL;
CREATE INDEX executions_due ON executions (due_at, id)
    WHERE owner IS NULL AND ended_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX executions_ended ON executions (ended_at, id) WHERE ended_at IS NOT NULL;

-- A key is kept as its digest, which fits into an index whatever its length.
CREATE TABLE keys (
    key bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    execution uuid NOT NULL,
    created_at int8 NOT NULL
);

-- Segments follow each other without gaps, so the last number orders them, too.
CREATE TABLE segments (
    execution uuid NOT NULL,
    first_seq int8 NOT NULL,
    last_seq int8 NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (execution, last_seq)
);

CREATE TABLE blobs (
    digest bytea PRIMARY KEY,
    body bytea NOT NULL
);

CREATE TABLE blob_uses (
    execution uuid NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (execution, digest)
);

CREATE INDEX blob_uses_by_digest ON blob_uses (digest);

CREATE TABLE inbox (
    execution uuid NOT NULL,
    id uuid NOT NULL,
    at int8 NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (execution, id)
);

CREATE TABLE logs (
    execution uuid NOT NULL,
    number int8 NOT NULL,
    at int8 NOT NULL,
    node bytea NOT NULL,
    attempt int8 NOT NULL,
    kind bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (execution, number)
);
