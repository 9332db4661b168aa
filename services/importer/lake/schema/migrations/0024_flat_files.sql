-- The vendor's flat files of minute bars that were imported.
CREATE TABLE flat_files (
    trading_day DATE NOT NULL,
    job_id VARCHAR NOT NULL,
    generation INTEGER NOT NULL,
    checksum VARCHAR NOT NULL,
    replaced_checksum VARCHAR,
    source_bytes BIGINT NOT NULL,
    symbols VARCHAR[],
    bars BIGINT NOT NULL,
    symbols_with_bars INTEGER NOT NULL,
    rejected BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    reasons VARCHAR[] NOT NULL,
    parquet_path VARCHAR NOT NULL,
    parquet_bytes BIGINT NOT NULL,
    parquet_checksum VARCHAR NOT NULL,
    published BOOLEAN NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

COMMENT ON TABLE flat_files IS 'One row a trading day: the flat file whose minute bars the lake has, and for which symbols';
COMMENT ON COLUMN flat_files.trading_day IS 'Date in New York';
COMMENT ON COLUMN flat_files.job_id IS 'The job that imported it last';
COMMENT ON COLUMN flat_files.generation IS 'Which request of the job';
COMMENT ON COLUMN flat_files.checksum IS 'SHA-256 of the file';
COMMENT ON COLUMN flat_files.replaced_checksum IS 'SHA-256 of the file that the day was imported from before; NULL if there was none';
COMMENT ON COLUMN flat_files.source_bytes IS 'Size of the file';
COMMENT ON COLUMN flat_files.symbols IS 'The symbols that it was imported for; NULL for all that it has';
COMMENT ON COLUMN flat_files.bars IS 'How many bars it has of them';
COMMENT ON COLUMN flat_files.symbols_with_bars IS 'How many of them it has bars of';
COMMENT ON COLUMN flat_files.rejected IS 'How many of its rows are no correct bars';
COMMENT ON COLUMN flat_files.duplicates IS 'How many of its rows were dropped for another one of the same minute';
COMMENT ON COLUMN flat_files.reasons IS 'Why rows were rejected, each with an example';
COMMENT ON COLUMN flat_files.parquet_path IS 'The Parquet file, below parquet/';
COMMENT ON COLUMN flat_files.parquet_bytes IS 'Its size after the import';
COMMENT ON COLUMN flat_files.parquet_checksum IS 'Its SHA-256 after the import';
COMMENT ON COLUMN flat_files.published IS 'Whether the Parquet file is in place';
COMMENT ON COLUMN flat_files.updated_at IS 'When it was imported';
