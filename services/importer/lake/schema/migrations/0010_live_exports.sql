-- The Parquet files with live rows, so that one that was written later than the database knows is recognized.
CREATE TABLE live_exports (
    parquet_path VARCHAR NOT NULL,
    parquet_bytes BIGINT,
    exported_at TIMESTAMPTZ
);

COMMENT ON TABLE live_exports IS 'One row a Parquet file that was written with live rows';
COMMENT ON COLUMN live_exports.parquet_path IS 'The Parquet file, below parquet/';
COMMENT ON COLUMN live_exports.parquet_bytes IS 'Size of the file as it was written, bytes; NULL while it is written';
COMMENT ON COLUMN live_exports.exported_at IS 'When the file had been put in place; NULL while it is written';
