-- No keys and no secondary indexes: see docs/adr. Timestamps of rows are UTC epoch milliseconds.
CREATE TABLE gex_snapshots (
    timestamp BIGINT NOT NULL,
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    spot_price DOUBLE,
    zero_gamma DOUBLE,
    net_gex DOUBLE,
    min_dte INTEGER,
    sec_min_dte INTEGER,
    major_pos_vol DOUBLE,
    major_pos_oi DOUBLE,
    major_neg_vol DOUBLE,
    major_neg_oi DOUBLE,
    sum_gex_vol DOUBLE,
    sum_gex_oi DOUBLE,
    delta_risk_reversal DOUBLE,
    max_priors VARCHAR,
    call_wall_candidate1_pct DOUBLE,
    call_wall_candidate2_pct DOUBLE,
    put_wall_candidate1_pct DOUBLE,
    put_wall_candidate2_pct DOUBLE,
    source VARCHAR NOT NULL,
    job_id VARCHAR
);

CREATE TABLE gex_strikes (
    timestamp BIGINT NOT NULL,
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    strike DOUBLE NOT NULL,
    gamma DOUBLE,
    oi_gamma DOUBLE,
    priors VARCHAR
);

-- The ledger: one row a job.
CREATE TABLE gex_history_queue (
    id VARCHAR NOT NULL,
    url VARCHAR NOT NULL,
    base_url VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    trading_day DATE,
    status VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    last_error VARCHAR,
    checksum VARCHAR,
    bytes BIGINT,
    records_processed BIGINT,
    strike_rows BIGINT,
    parquet_path VARCHAR,
    parquet_checksum VARCHAR,
    parquet_bytes BIGINT,
    replaced_checksum VARCHAR,
    replaced_records BIGINT,
    replaced_strike_rows BIGINT,
    reason VARCHAR,
    correction_of VARCHAR,
    generation INTEGER NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE VIEW import_jobs AS
SELECT id, url, checksum, ticker, status, records_processed, last_error, created_at, updated_at
FROM gex_history_queue;

-- What each partition holds, and whether its Parquet file has been put in place.
CREATE TABLE partitions (
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    trading_day DATE NOT NULL,
    job_id VARCHAR NOT NULL,
    generation INTEGER NOT NULL,
    checksum VARCHAR NOT NULL,
    replaced_checksum VARCHAR,
    source_bytes BIGINT NOT NULL,
    snapshots BIGINT NOT NULL,
    strike_rows BIGINT NOT NULL,
    first_timestamp BIGINT NOT NULL,
    last_timestamp BIGINT NOT NULL,
    parquet_path VARCHAR NOT NULL,
    parquet_bytes BIGINT NOT NULL,
    parquet_checksum VARCHAR NOT NULL,
    published BOOLEAN NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
