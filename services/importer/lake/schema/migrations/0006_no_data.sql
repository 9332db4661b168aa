-- A job whose day the vendor has no data for is skipped, and says who said so.
COMMENT ON COLUMN gex_history_queue.reason IS 'Why a worse file was forced upon the partition; of a job that is skipped without a checksum, who said that there is no data for the day';
