-- What jobs of other datasets than GEX brought in.
ALTER TABLE gex_history_queue ADD COLUMN counts VARCHAR;

-- They name the columns that the ledger had when they were made.
CREATE OR REPLACE VIEW archived_jobs AS SELECT * FROM gex_history_queue WHERE false;

CREATE OR REPLACE VIEW all_jobs AS
SELECT * FROM gex_history_queue
UNION ALL BY NAME
SELECT * FROM archived_jobs ANTI JOIN gex_history_queue USING (id, generation, requested_at);

CREATE OR REPLACE VIEW processing_jobs AS
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
    retry_count,
    counts
FROM all_jobs;

COMMENT ON COLUMN gex_history_queue.records_processed IS
    'Snapshots that the partition got from the file; of other datasets, the bars or market snapshots';
COMMENT ON COLUMN gex_history_queue.parquet_path IS
    'The Parquet file, below parquet/gexbot/; of minute bars, below parquet/';
COMMENT ON COLUMN gex_history_queue.counts IS
    'JSON text: an object of what the job brought in, such as {"bars": 8190}; NULL for GEX, whose counts are columns';
COMMENT ON VIEW archived_jobs IS 'Jobs in data/archive/jobs, in the columns of gex_history_queue';
COMMENT ON VIEW all_jobs IS
    'The ledger and the archive: every job, in the columns of gex_history_queue; archived generations of a job too';
COMMENT ON VIEW processing_jobs IS 'The ledger and the archive: how each job was processed, and for which request';
COMMENT ON COLUMN processing_jobs.job_id IS 'id in gex_history_queue';
COMMENT ON COLUMN processing_jobs.request_id IS 'The request in priority_requests; NULL for jobs of older versions';
COMMENT ON COLUMN processing_jobs.status IS 'QUEUED (also after a failed attempt, until the next), PROCESSING, COMPLETED (skipped jobs, too), FAILED or CANCELLED';
COMMENT ON COLUMN processing_jobs.started_at IS
    'When it was first taken by a worker; never before it was requested; NULL until then';
COMMENT ON COLUMN processing_jobs.completed_at IS 'When it ended, successfully or not; never before started_at; NULL until then';
COMMENT ON COLUMN processing_jobs.processing_duration IS 'From started_at to completed_at';
COMMENT ON COLUMN processing_jobs.records_processed IS
    'Snapshots that the partition got from the file; of other datasets, the bars or market snapshots';
COMMENT ON COLUMN processing_jobs.data_size_bytes IS 'Size of the staged file, bytes';
COMMENT ON COLUMN processing_jobs.error_message IS 'What the last attempt failed of';
COMMENT ON COLUMN processing_jobs.retry_count IS 'How many failed attempts of the last stage were repeated';
COMMENT ON COLUMN processing_jobs.counts IS 'As in gex_history_queue';
