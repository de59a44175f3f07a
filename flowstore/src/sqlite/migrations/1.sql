-- The first form of the tables.
--
-- Executions, definitions and values have numbers of their own, which are short and grow: rows of one
-- execution stand together, and new ones at the end. Times are microseconds since 1970.

CREATE TABLE definitions (
  number INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  text TEXT NOT NULL
);

-- Never the number of one that is gone: rows of it may still be on their way out.
CREATE TABLE executions (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  workflow TEXT NOT NULL,
  definition INTEGER NOT NULL,
  -- 0 Queued, 1 Running, 2 Waiting, 3 Paused; 4 Succeeded, 5 Failed, 6 Cancelled, 7 TimedOut
  status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 7),
  fence INTEGER NOT NULL,
  owner BLOB CHECK (length(owner) = 16),
  last_seq INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  wake_at INTEGER,
  -- When it may be claimed, while it has no owner.
  due_at INTEGER,
  error TEXT,
  rerun_of BLOB,
  format INTEGER NOT NULL,
  key TEXT,
  CHECK ((status >= 4) = (ended_at IS NOT NULL)),
  CHECK (status < 4 OR owner IS NULL)
);

-- The list, newest first: of all, of a workflow, of those that have not ended, of those that failed.
CREATE INDEX executions_created ON executions (created_at, id);
CREATE INDEX executions_workflow ON executions (workflow, created_at, id);
CREATE INDEX executions_open ON executions (created_at, id) WHERE status < 4;
CREATE INDEX executions_failed ON executions (created_at, id) WHERE status > 4;
-- What may be claimed.
CREATE INDEX executions_due ON executions (due_at, id) WHERE owner IS NULL AND status < 4;
-- What may be forgotten.
CREATE INDEX executions_ended ON executions (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX executions_definition ON executions (definition);

CREATE TABLE keys (
  key TEXT PRIMARY KEY,
  fingerprint BLOB NOT NULL,
  execution INTEGER NOT NULL
) WITHOUT ROWID;

-- The journal; what an execution starts with stands before it, at 0.
CREATE TABLE segments (
  execution INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (execution, first_seq)
) WITHOUT ROWID;

CREATE TABLE blobs (
  number INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  bytes BLOB NOT NULL
);

CREATE TABLE blob_uses (
  execution INTEGER NOT NULL,
  blob INTEGER NOT NULL,
  PRIMARY KEY (execution, blob)
) WITHOUT ROWID;

CREATE INDEX blob_uses_blob ON blob_uses (blob);

CREATE TABLE inbox (
  execution INTEGER NOT NULL,
  id BLOB NOT NULL CHECK (length(id) = 16),
  at INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (execution, id)
) WITHOUT ROWID;

CREATE TABLE logs (
  execution INTEGER NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  node TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (execution, number)
) WITHOUT ROWID;

-- Executions that are forgotten, but for their segments, lines and values, which go bit by bit.
CREATE TABLE leftovers (execution INTEGER PRIMARY KEY);
