-- Why a job had its priority, and how long it took.
ALTER TABLE gex_history_queue ADD COLUMN request_id VARCHAR;
ALTER TABLE gex_history_queue ADD COLUMN priority_level VARCHAR;
ALTER TABLE gex_history_queue ADD COLUMN priority_score DOUBLE;
ALTER TABLE gex_history_queue ADD COLUMN deadline TIMESTAMPTZ;
ALTER TABLE gex_history_queue ADD COLUMN started_at TIMESTAMPTZ;
ALTER TABLE gex_history_queue ADD COLUMN completed_at TIMESTAMPTZ;
ALTER TABLE gex_history_queue ADD COLUMN retry_count INTEGER DEFAULT 0;
ALTER TABLE gex_history_queue ADD COLUMN is_queued BOOLEAN DEFAULT false;

UPDATE gex_history_queue SET completed_at = updated_at WHERE status IN ('completed', 'skipped', 'failed');

COMMENT ON COLUMN gex_history_queue.status IS
    'pending, started, staged, committed, completed, skipped, failed or cancelled';
COMMENT ON COLUMN gex_history_queue.request_id IS
    'The request in priority_requests; NULL for jobs of older versions';
COMMENT ON COLUMN gex_history_queue.priority_level IS
    'critical, high, medium or low; NULL in rows of older versions';
COMMENT ON COLUMN gex_history_queue.priority_score IS '0 to 1; NULL for jobs of older versions';
COMMENT ON COLUMN gex_history_queue.deadline IS 'When it is due; NULL for low, and for jobs of older versions';
COMMENT ON COLUMN gex_history_queue.started_at IS
    'When this generation was first taken by a worker; NULL until then';
COMMENT ON COLUMN gex_history_queue.completed_at IS
    'When this generation ended, successfully or not; NULL until then';
COMMENT ON COLUMN gex_history_queue.retry_count IS
    'How many failed attempts of the stage that it is in were repeated';
COMMENT ON COLUMN gex_history_queue.is_queued IS
    'Whether it waits for its first attempt, or for the next one after one that failed';

-- One row a request: a job that is asked for again, once it has ended, has another one.
CREATE TABLE priority_requests (
    request_id VARCHAR NOT NULL,
    job_id VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    source_url VARCHAR NOT NULL,
    data_type VARCHAR NOT NULL,
    market_symbol VARCHAR NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    submitted_at TIMESTAMPTZ NOT NULL,
    priority_score DOUBLE NOT NULL,
    priority_level VARCHAR NOT NULL,
    decided_by VARCHAR[] NOT NULL,
    overrides VARCHAR NOT NULL,
    deadline TIMESTAMPTZ,
    estimated_processing_time INTERVAL,
    queue_position INTEGER,
    metadata VARCHAR NOT NULL,
    generation INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    completed_at TIMESTAMPTZ,
    deadline_kept BOOLEAN,
    updated_at TIMESTAMPTZ NOT NULL
);

COMMENT ON TABLE priority_requests IS
    'One row a request for a file: its priority, what was promised, and how its job ended; from EVENTS';
COMMENT ON COLUMN priority_requests.request_id IS 'UUID of the request';
COMMENT ON COLUMN priority_requests.job_id IS 'Its job: job_id in processing_jobs, id in gex_history_queue';
COMMENT ON COLUMN priority_requests.channel IS
    'How it came: priority (/api/v1/ingest/priority), history_url (/gex_history_url) or backfill';
COMMENT ON COLUMN priority_requests.source_url IS 'Where the file comes from, its signed query taken out';
COMMENT ON COLUMN priority_requests.data_type IS 'historical, real_time or snapshot';
COMMENT ON COLUMN priority_requests.market_symbol IS 'The underlying, such as NDX';
COMMENT ON COLUMN priority_requests.requested_at IS 'When the client made it, as the client says';
COMMENT ON COLUMN priority_requests.submitted_at IS 'When intake took it';
COMMENT ON COLUMN priority_requests.priority_score IS '0 to 1; of the last override, if there is one';
COMMENT ON COLUMN priority_requests.priority_level IS 'critical, high, medium or low';
COMMENT ON COLUMN priority_requests.decided_by IS 'Names of the rules that decided the score';
COMMENT ON COLUMN priority_requests.overrides IS
    'JSON text: an array of priority_level, priority_score, reason, by and at; the newest is the last';
COMMENT ON COLUMN priority_requests.deadline IS 'When it is due; NULL for low';
COMMENT ON COLUMN priority_requests.estimated_processing_time IS
    'From submitted_at to the rows in the lake, as the client was told; NULL if it was not';
COMMENT ON COLUMN priority_requests.queue_position IS
    'The place in the queue, from 1, as the client was told; NULL if it was not';
COMMENT ON COLUMN priority_requests.metadata IS 'JSON text: an object, without secrets';
COMMENT ON COLUMN priority_requests.generation IS
    'The newest generation of the job that belongs to the request';
COMMENT ON COLUMN priority_requests.status IS 'Of that generation, as in gex_history_queue';
COMMENT ON COLUMN priority_requests.completed_at IS
    'When the job first ended, successfully or not; NULL until then';
COMMENT ON COLUMN priority_requests.deadline_kept IS
    'Whether the job was first completed or skipped by the deadline; NULL without one, until then, and if cancelled';
COMMENT ON COLUMN priority_requests.updated_at IS 'When the job''s status last changed';

-- Jobs that the janitor had archived; the importer makes it again once there is a file.
CREATE VIEW archived_jobs AS SELECT * FROM gex_history_queue WHERE false;

-- A job whose file is written, and whose row is not deleted yet, is in both.
CREATE VIEW all_jobs AS
SELECT * FROM gex_history_queue
UNION ALL BY NAME
SELECT * FROM archived_jobs ANTI JOIN gex_history_queue USING (id, generation, requested_at);

CREATE OR REPLACE VIEW import_jobs AS
SELECT id, url, checksum, ticker, status, records_processed, last_error, created_at, updated_at FROM all_jobs;

CREATE VIEW processing_jobs AS
SELECT
    id AS job_id,
    request_id,
    CASE
        WHEN status IN ('completed', 'skipped') THEN 'COMPLETED'
        WHEN status IN ('failed', 'cancelled') THEN upper(status)
        WHEN is_queued THEN 'QUEUED'
        ELSE 'PROCESSING'
    END AS status,
    started_at,
    -- Each service has its own clock.
    CASE WHEN completed_at < started_at THEN started_at ELSE completed_at END AS completed_at,
    CASE WHEN completed_at < started_at THEN INTERVAL 0 SECONDS ELSE completed_at - started_at END
        AS processing_duration,
    records_processed,
    bytes AS data_size_bytes,
    last_error AS error_message,
    retry_count
FROM all_jobs;

COMMENT ON VIEW archived_jobs IS 'Jobs in data/archive/jobs, in the columns of gex_history_queue';
COMMENT ON VIEW all_jobs IS
    'The ledger and the archive: every job, in the columns of gex_history_queue; archived generations of a job too';
COMMENT ON VIEW import_jobs IS 'The ledger and the archive in the columns of the first system';
COMMENT ON COLUMN import_jobs.id IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.url IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.checksum IS 'As in gex_history_queue: sha256 of the staged file';
COMMENT ON COLUMN import_jobs.ticker IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.status IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.records_processed IS 'As in gex_history_queue: snapshots';
COMMENT ON COLUMN import_jobs.last_error IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.created_at IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.updated_at IS 'As in gex_history_queue';
COMMENT ON VIEW processing_jobs IS 'The ledger and the archive: how each job was processed, and for which request';
COMMENT ON COLUMN processing_jobs.job_id IS 'id in gex_history_queue';
COMMENT ON COLUMN processing_jobs.request_id IS 'The request in priority_requests; NULL for jobs of older versions';
COMMENT ON COLUMN processing_jobs.status IS 'QUEUED (also after a failed attempt, until the next), PROCESSING, COMPLETED (skipped jobs, too), FAILED or CANCELLED';
COMMENT ON COLUMN processing_jobs.started_at IS
    'When it was first taken by a worker; never before it was requested; NULL until then';
COMMENT ON COLUMN processing_jobs.completed_at IS 'When it ended, successfully or not; never before started_at; NULL until then';
COMMENT ON COLUMN processing_jobs.processing_duration IS 'From started_at to completed_at';
COMMENT ON COLUMN processing_jobs.records_processed IS 'Snapshots that the partition got from the file';
COMMENT ON COLUMN processing_jobs.data_size_bytes IS 'Size of the staged file, bytes';
COMMENT ON COLUMN processing_jobs.error_message IS 'What the last attempt failed of';
COMMENT ON COLUMN processing_jobs.retry_count IS 'How many failed attempts of the last stage were repeated';
