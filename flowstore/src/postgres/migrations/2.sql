-- Executions belong to projects, and a catalog stands beside them.

ALTER TABLE executions ADD COLUMN project text COLLATE "C" NOT NULL DEFAULT 'default';
-- Of the saved workflow.
ALTER TABLE executions ADD COLUMN version int8;

-- A list is of one project.
DROP INDEX executions_by_time;
DROP INDEX executions_by_workflow;
CREATE INDEX executions_by_time ON executions (project, created_at, id);
CREATE INDEX executions_by_workflow ON executions (project, workflow_id, created_at, id);

ALTER TABLE keys ADD COLUMN project text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE keys DROP CONSTRAINT keys_pkey;
ALTER TABLE keys ADD PRIMARY KEY (project, key);

-- The versions of records. The newest of each stays, also when it says that the record was deleted,
-- so that no version and no number of a change is ever used twice.
CREATE TABLE records (
    change int8 PRIMARY KEY,
    -- Empty: of the whole installation.
    project text COLLATE "C" NOT NULL,
    kind bytea NOT NULL,
    id bytea NOT NULL,
    version int8 NOT NULL,
    is_newest bool NOT NULL,
    at int8 NOT NULL,
    -- Null: deleted.
    body bytea,
    UNIQUE (project, kind, id, version)
);

CREATE UNIQUE INDEX records_newest ON records (project, kind, id) WHERE is_newest;

-- Who did what. The rows of one chain follow each other, and each has the hash of all up to it.
CREATE TABLE audit (
    position int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain uuid NOT NULL,
    number int8 NOT NULL,
    at int8 NOT NULL,
    -- Null: of the whole installation.
    project text COLLATE "C",
    body bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE INDEX audit_by_project ON audit (project, position);
