-- What an import has dropped or passed over.
ALTER TABLE partitions ADD COLUMN duplicates BIGINT DEFAULT 0;
ALTER TABLE partitions ADD COLUMN strays BIGINT DEFAULT 0;
ALTER TABLE partitions ADD COLUMN unknown_records BIGINT DEFAULT 0;
ALTER TABLE partitions ADD COLUMN unknown_fields VARCHAR;

COMMENT ON COLUMN partitions.duplicates IS 'records dropped because an earlier one has the same timestamp';
COMMENT ON COLUMN partitions.strays IS 'records dropped because they are outside the trading day';
COMMENT ON COLUMN partitions.unknown_records IS 'records with fields that the format does not know';
COMMENT ON COLUMN partitions.unknown_fields IS 'the names of those fields, sorted';
