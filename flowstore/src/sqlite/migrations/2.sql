-- Executions belong to projects, and a catalog stands beside them.

ALTER TABLE executions ADD COLUMN project TEXT NOT NULL DEFAULT 'default';
-- Of the saved workflow.
ALTER TABLE executions ADD COLUMN version INTEGER;

-- A list is of one project.
DROP INDEX executions_created;
DROP INDEX executions_workflow;
DROP INDEX executions_open;
DROP INDEX executions_failed;
CREATE INDEX executions_created ON executions (project, created_at, id);
CREATE INDEX executions_workflow ON executions (project, workflow, created_at, id);
CREATE INDEX executions_open ON executions (project, created_at, id) WHERE status < 4;
CREATE INDEX executions_failed ON executions (project, created_at, id) WHERE status > 4;

CREATE TABLE keys_of_projects (
  project TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  execution INTEGER NOT NULL,
  PRIMARY KEY (project, key)
) WITHOUT ROWID;
INSERT INTO keys_of_projects SELECT 'default', key, fingerprint, execution FROM keys;
DROP TABLE keys;
ALTER TABLE keys_of_projects RENAME TO keys;

-- The versions of records. The newest of each stays, also when it says that the record was deleted,
-- so that no version and no number of a change is ever used twice.
CREATE TABLE records (
  change INTEGER PRIMARY KEY,
  -- Empty: of the whole installation.
  project TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  is_newest INTEGER NOT NULL,
  at INTEGER NOT NULL,
  -- Null: deleted.
  body BLOB,
  UNIQUE (project, kind, id, version)
);
CREATE UNIQUE INDEX records_newest ON records (project, kind, id) WHERE is_newest;

-- Who did what. The rows of one chain follow each other, and each has the hash of all up to it.
CREATE TABLE audit (
  position INTEGER PRIMARY KEY,
  chain BLOB NOT NULL CHECK (length(chain) = 16),
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  -- Null: of the whole installation.
  project TEXT,
  body TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX audit_project ON audit (project);
