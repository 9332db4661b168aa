-- A client cancels a job before it has begun.
COMMENT ON COLUMN gex_history_queue.status IS
    'pending, started, staged, committed, completed, skipped, failed or cancelled';
COMMENT ON COLUMN gex_history_queue.reason IS 'Why a worse file was forced upon the partition; of a job that is skipped without a checksum, who said that there is no data for the day; of a cancelled job, why';
