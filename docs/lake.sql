-- The Parquet tree as one view, for any DuckDB from 1.4 on, independent of the importer.
--   duckdb -init docs/lake.sql         in the folder that contains data/
--   duckdb.sql(open("docs/lake.sql").read())
-- Elsewhere, change the path in the last line. The importer's database has the same view and the same macros.

-- UTC epoch milliseconds to the wall clock in New York, and back.
CREATE OR REPLACE TEMP MACRO new_york_time(timestamp_ms) AS
    timezone('America/New_York', make_timestamptz(timestamp_ms * 1000));
CREATE OR REPLACE TEMP MACRO new_york_ms(wall_clock) AS
    epoch_ms(timezone('America/New_York', CAST(wall_clock AS TIMESTAMP)));

-- Ticker, endpoint and day come from the path, so a filter on them opens no other file. The columns are named
-- here, so a damaged file does not break queries of other days.
CREATE OR REPLACE TEMP VIEW gex_history AS
SELECT
    CAST(try_strptime(parse_filename(filename)[1:8], '%Y%m%d') AS DATE) AS trading_day,
    timestamp,
    parse_path(filename)[-3] AS ticker,
    parse_path(filename)[-2] AS endpoint,
    strike, gamma, oi_gamma, priors
FROM read_parquet(
    'data/parquet/gexbot/*/*/*.strikes.parquet', filename = true, hive_partitioning = false, schema = MAP {
        'timestamp': {name: 'timestamp', type: 'BIGINT', default_value: NULL},
        'ticker': {name: 'ticker', type: 'VARCHAR', default_value: NULL},
        'endpoint': {name: 'endpoint', type: 'VARCHAR', default_value: NULL},
        'strike': {name: 'strike', type: 'DOUBLE', default_value: NULL},
        'gamma': {name: 'gamma', type: 'DOUBLE', default_value: NULL},
        'oi_gamma': {name: 'oi_gamma', type: 'DOUBLE', default_value: NULL},
        'priors': {name: 'priors', type: 'VARCHAR', default_value: NULL}
    });
