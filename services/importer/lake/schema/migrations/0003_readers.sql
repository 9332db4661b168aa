-- For those who query the lake: what every column means, its unit and where it comes from; two macros for New
-- York time; and snapshots joined with their strikes.

-- DuckDB cannot change the compression of a column, so the table is written once more: on two cores some 0.7 s
-- for a day of 2.3 million rows, and as much room again in the file, which later imports fill.
CREATE TABLE gex_strikes_compressed (
    timestamp BIGINT NOT NULL USING COMPRESSION rle,
    ticker VARCHAR NOT NULL USING COMPRESSION dict_fsst,
    endpoint VARCHAR NOT NULL USING COMPRESSION dict_fsst,
    strike DOUBLE NOT NULL USING COMPRESSION alp,
    gamma DOUBLE USING COMPRESSION alp,
    oi_gamma DOUBLE USING COMPRESSION alp,
    priors VARCHAR USING COMPRESSION zstd
);
INSERT INTO gex_strikes_compressed
SELECT timestamp, ticker, endpoint, strike, gamma, oi_gamma, priors FROM gex_strikes;
DROP TABLE gex_strikes;
ALTER TABLE gex_strikes_compressed RENAME TO gex_strikes;

CREATE VIEW gex_profiles AS
SELECT
    snapshot.timestamp, snapshot.ticker, snapshot.endpoint, snapshot.spot_price, snapshot.zero_gamma,
    strike.strike, strike.gamma, strike.oi_gamma, strike.priors
FROM gex_snapshots AS snapshot
JOIN gex_strikes AS strike
    ON strike.timestamp = snapshot.timestamp
    AND strike.ticker = snapshot.ticker
    AND strike.endpoint = snapshot.endpoint;

CREATE MACRO new_york_time(timestamp_ms) AS
    timezone('America/New_York', make_timestamptz(timestamp_ms * 1000));
CREATE MACRO new_york_ms(wall_clock) AS
    epoch_ms(timezone('America/New_York', CAST(wall_clock AS TIMESTAMP)));

COMMENT ON MACRO new_york_time IS 'UTC epoch milliseconds to the wall clock in New York, a TIMESTAMP';
COMMENT ON MACRO new_york_ms IS
    'A wall clock in New York, such as ''2025-11-14 10:30:00'', to UTC epoch milliseconds, as timestamp has them';

COMMENT ON TABLE gex_snapshots IS
    'One row a second of a ticker and endpoint: what the vendor''s record says beside its strikes';
COMMENT ON COLUMN gex_snapshots.timestamp IS 'UTC epoch milliseconds; the vendor''s timestamp has seconds';
COMMENT ON COLUMN gex_snapshots.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN gex_snapshots.endpoint IS
    'The vendor''s GEX category, by the expirations counted: gex_zero, gex_one or gex_full';
COMMENT ON COLUMN gex_snapshots.spot_price IS 'Price of the underlying, in points; the vendor''s spot';
COMMENT ON COLUMN gex_snapshots.zero_gamma IS
    'Level at which GEX by volume changes its sign, in points; from the vendor';
COMMENT ON COLUMN gex_snapshots.net_gex IS
    'GEX over all strikes, in the vendor''s unit; live payloads only: NULL in history';
COMMENT ON COLUMN gex_snapshots.min_dte IS 'Days to the nearest expiration; from the vendor';
COMMENT ON COLUMN gex_snapshots.sec_min_dte IS 'Days to the second nearest expiration; from the vendor';
COMMENT ON COLUMN gex_snapshots.major_pos_vol IS
    'Strike with the most positive GEX by volume, in points; from the vendor';
COMMENT ON COLUMN gex_snapshots.major_pos_oi IS
    'Strike with the most positive GEX by open interest, in points; from the vendor';
COMMENT ON COLUMN gex_snapshots.major_neg_vol IS
    'Strike with the most negative GEX by volume, in points; from the vendor';
COMMENT ON COLUMN gex_snapshots.major_neg_oi IS
    'Strike with the most negative GEX by open interest, in points; from the vendor';
COMMENT ON COLUMN gex_snapshots.sum_gex_vol IS
    'GEX by volume over all strikes, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN gex_snapshots.sum_gex_oi IS
    'GEX by open interest over all strikes, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN gex_snapshots.delta_risk_reversal IS
    'Skew between calls and puts of the same delta, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN gex_snapshots.max_priors IS
    'JSON text: [strike, change] pairs, the largest now and over 1, 5, 10, 15 and 30 minutes; from the vendor';
COMMENT ON COLUMN gex_snapshots.call_wall_candidate1_pct IS
    'First candidate of the call wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN gex_snapshots.call_wall_candidate2_pct IS
    'Second candidate of the call wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN gex_snapshots.put_wall_candidate1_pct IS
    'First candidate of the put wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN gex_snapshots.put_wall_candidate2_pct IS
    'Second candidate of the put wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN gex_snapshots.source IS 'history: from a day''s file; live: from the feed';
COMMENT ON COLUMN gex_snapshots.job_id IS 'The job that brought the row in; NULL for live rows';

COMMENT ON TABLE gex_strikes IS
    'One row a strike of a snapshot, in the order of the file; the Parquet files have the same rows';
COMMENT ON COLUMN gex_strikes.timestamp IS 'UTC epoch milliseconds: that of its snapshot';
COMMENT ON COLUMN gex_strikes.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN gex_strikes.endpoint IS
    'The vendor''s GEX category, by the expirations counted: gex_zero, gex_one or gex_full';
COMMENT ON COLUMN gex_strikes.strike IS 'Strike price, in points; from the vendor';
COMMENT ON COLUMN gex_strikes.gamma IS 'GEX by volume, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN gex_strikes.oi_gamma IS 'GEX by open interest, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN gex_strikes.priors IS
    'JSON text: gamma 1, 5, 10, 15 and 30 minutes ago; the array may be shorter, empty or NULL; from the vendor';

COMMENT ON VIEW gex_profiles IS
    'One row a strike with its snapshot''s spot and zero gamma: gex_snapshots joined with gex_strikes';
COMMENT ON COLUMN gex_profiles.timestamp IS 'UTC epoch milliseconds';
COMMENT ON COLUMN gex_profiles.ticker IS 'As in gex_snapshots';
COMMENT ON COLUMN gex_profiles.endpoint IS 'As in gex_snapshots';
COMMENT ON COLUMN gex_profiles.spot_price IS 'As in gex_snapshots: points';
COMMENT ON COLUMN gex_profiles.zero_gamma IS 'As in gex_snapshots: points';
COMMENT ON COLUMN gex_profiles.strike IS 'As in gex_strikes: points';
COMMENT ON COLUMN gex_profiles.gamma IS 'As in gex_strikes: GEX by volume';
COMMENT ON COLUMN gex_profiles.oi_gamma IS 'As in gex_strikes: GEX by open interest';
COMMENT ON COLUMN gex_profiles.priors IS 'As in gex_strikes: JSON text';

COMMENT ON TABLE partitions IS
    'One row a ticker, endpoint and trading day: what the lake holds of it, and from which file';
COMMENT ON COLUMN partitions.ticker IS 'As in gex_snapshots';
COMMENT ON COLUMN partitions.endpoint IS 'As in gex_snapshots';
COMMENT ON COLUMN partitions.trading_day IS 'Date in New York';
COMMENT ON COLUMN partitions.job_id IS 'The job whose file it holds; id in gex_history_queue';
COMMENT ON COLUMN partitions.generation IS 'Which request for that job, counted from 1';
COMMENT ON COLUMN partitions.checksum IS 'sha256 of the staged file, hexadecimal';
COMMENT ON COLUMN partitions.replaced_checksum IS
    'sha256 of the file that was held before; NULL if there was none';
COMMENT ON COLUMN partitions.source_bytes IS 'Size of the staged file, bytes';
COMMENT ON COLUMN partitions.snapshots IS 'Rows in gex_snapshots, or the table of the endpoint''s records';
COMMENT ON COLUMN partitions.strike_rows IS 'Rows in the Parquet file';
COMMENT ON COLUMN partitions.first_timestamp IS 'Its first timestamp, UTC epoch milliseconds';
COMMENT ON COLUMN partitions.last_timestamp IS 'Its last timestamp, UTC epoch milliseconds';
COMMENT ON COLUMN partitions.parquet_path IS 'Its Parquet file, below parquet/gexbot/';
COMMENT ON COLUMN partitions.parquet_bytes IS 'Size of the Parquet file, bytes';
COMMENT ON COLUMN partitions.parquet_checksum IS 'sha256 of the Parquet file, hexadecimal';
COMMENT ON COLUMN partitions.published IS
    'Whether the Parquet file has been put in place since the rows were committed';
COMMENT ON COLUMN partitions.updated_at IS 'When the rows were committed';

COMMENT ON TABLE gex_history_queue IS 'The ledger: one row a job, which is one source file; told by EVENTS';
COMMENT ON COLUMN gex_history_queue.id IS 'The job''s id: a UUIDv5 of ticker, endpoint and base_url';
COMMENT ON COLUMN gex_history_queue.url IS 'Where the file comes from, its signed query taken out';
COMMENT ON COLUMN gex_history_queue.base_url IS 'The URL without its query: part of what the job is';
COMMENT ON COLUMN gex_history_queue.ticker IS 'As in gex_snapshots';
COMMENT ON COLUMN gex_history_queue.endpoint IS 'As in gex_snapshots';
COMMENT ON COLUMN gex_history_queue.trading_day IS 'Date in New York; NULL until it is known';
COMMENT ON COLUMN gex_history_queue.status IS
    'pending, started, staged, committed, completed, skipped or failed';
COMMENT ON COLUMN gex_history_queue.attempts IS 'How often the stage that it is in was taken up';
COMMENT ON COLUMN gex_history_queue.last_error IS 'What the last attempt failed of, at most 1024 characters';
COMMENT ON COLUMN gex_history_queue.checksum IS 'sha256 of the staged file, hexadecimal';
COMMENT ON COLUMN gex_history_queue.bytes IS 'Size of the staged file, bytes';
COMMENT ON COLUMN gex_history_queue.records_processed IS 'Snapshots that the partition got from the file';
COMMENT ON COLUMN gex_history_queue.strike_rows IS 'Strike rows that the partition got from the file';
COMMENT ON COLUMN gex_history_queue.parquet_path IS 'The Parquet file, below parquet/gexbot/';
COMMENT ON COLUMN gex_history_queue.parquet_checksum IS 'sha256 of the Parquet file, hexadecimal';
COMMENT ON COLUMN gex_history_queue.parquet_bytes IS 'Size of the Parquet file, bytes';
COMMENT ON COLUMN gex_history_queue.replaced_checksum IS 'sha256 of the file whose rows were replaced';
COMMENT ON COLUMN gex_history_queue.replaced_records IS 'Snapshots that were replaced';
COMMENT ON COLUMN gex_history_queue.replaced_strike_rows IS 'Strike rows that were replaced';
COMMENT ON COLUMN gex_history_queue.reason IS 'Why a worse file was forced upon the partition';
COMMENT ON COLUMN gex_history_queue.correction_of IS 'The job whose rows a forced job replaced';
COMMENT ON COLUMN gex_history_queue.generation IS 'Which request for this job, counted from 1';
COMMENT ON COLUMN gex_history_queue.requested_at IS 'When this generation was asked for';
COMMENT ON COLUMN gex_history_queue.created_at IS 'When the job was first heard of';
COMMENT ON COLUMN gex_history_queue.updated_at IS 'When the row last changed';

COMMENT ON VIEW import_jobs IS 'The ledger in the columns of the first system';
COMMENT ON COLUMN import_jobs.id IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.url IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.checksum IS 'As in gex_history_queue: sha256 of the staged file';
COMMENT ON COLUMN import_jobs.ticker IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.status IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.records_processed IS 'As in gex_history_queue: snapshots';
COMMENT ON COLUMN import_jobs.last_error IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.created_at IS 'As in gex_history_queue';
COMMENT ON COLUMN import_jobs.updated_at IS 'As in gex_history_queue';

COMMENT ON TABLE universal_webhooks IS 'Every webhook as it came';
COMMENT ON COLUMN universal_webhooks.id IS 'Id that the webhook was given on arrival';
COMMENT ON COLUMN universal_webhooks.received_at IS 'When it arrived';
COMMENT ON COLUMN universal_webhooks.topic IS 'Its topic, with suffix: option_trades_super_algo:SPX';
COMMENT ON COLUMN universal_webhooks.event IS 'The sender''s name of the event';
COMMENT ON COLUMN universal_webhooks.payload_json IS 'JSON text: all of it';
COMMENT ON COLUMN universal_webhooks.source_ip IS 'Address that sent it';
COMMENT ON COLUMN universal_webhooks.user_agent IS 'User-Agent that sent it';

COMMENT ON TABLE option_trades_events IS 'One row an option trade that a webhook told of';
COMMENT ON COLUMN option_trades_events.received_at IS 'When the webhook arrived';
COMMENT ON COLUMN option_trades_events.topic IS 'Topic of the webhook, without suffix';
COMMENT ON COLUMN option_trades_events.topic_symbol IS 'Suffix of the topic: the symbol subscribed to';
COMMENT ON COLUMN option_trades_events.ticker IS 'Root of option_chain_id, or the sender''s ticker';
COMMENT ON COLUMN option_trades_events.option_chain_id IS
    'OCC symbol: root, YYMMDD, C or P, strike times 1000 in eight digits';
COMMENT ON COLUMN option_trades_events.type IS 'call or put; from option_chain_id';
COMMENT ON COLUMN option_trades_events.strike IS 'Strike price; from option_chain_id';
COMMENT ON COLUMN option_trades_events.expiry IS 'Date of expiration; from option_chain_id';
COMMENT ON COLUMN option_trades_events.dte IS 'Days to the expiration';
COMMENT ON COLUMN option_trades_events.price IS 'Price of one contract, dollars a share; from the sender';
COMMENT ON COLUMN option_trades_events.size IS 'Contracts traded; from the sender';
COMMENT ON COLUMN option_trades_events.premium IS 'Dollars paid for all contracts; from the sender';
COMMENT ON COLUMN option_trades_events.volume IS 'Contracts traded that day so far; from the sender';
COMMENT ON COLUMN option_trades_events.open_interest IS 'Contracts open; from the sender';
COMMENT ON COLUMN option_trades_events.underlying_price IS 'Price of the underlying; from the sender';
COMMENT ON COLUMN option_trades_events.implied_volatility IS
    'Yearly, as a share: 0.25 is 25 percent; from the sender';
COMMENT ON COLUMN option_trades_events.delta IS 'Delta of the contract; from the sender';
COMMENT ON COLUMN option_trades_events.gamma IS 'Gamma of the contract; from the sender';
COMMENT ON COLUMN option_trades_events.theta IS 'Theta of the contract; from the sender';
COMMENT ON COLUMN option_trades_events.vega IS 'Vega of the contract; from the sender';
COMMENT ON COLUMN option_trades_events.rho IS 'Rho of the contract; from the sender';
COMMENT ON COLUMN option_trades_events.tags IS 'JSON text: the sender''s tags';
COMMENT ON COLUMN option_trades_events.executed_at IS 'When the trade was made; from the sender';
COMMENT ON COLUMN option_trades_events.trade_id IS 'The sender''s id of the trade';
COMMENT ON COLUMN option_trades_events.is_index_option IS 'Whether the underlying is an index';
COMMENT ON COLUMN option_trades_events.raw IS 'JSON text: the trade as it came';

COMMENT ON TABLE market_agg_state IS 'One row a state of the whole options market that a webhook told of';
COMMENT ON COLUMN market_agg_state.received_at IS 'When the webhook arrived';
COMMENT ON COLUMN market_agg_state.date IS 'The trading day that it is about; from the sender';
COMMENT ON COLUMN market_agg_state.call_premium IS 'Dollars paid for calls that day; from the sender';
COMMENT ON COLUMN market_agg_state.put_premium IS 'Dollars paid for puts that day; from the sender';
COMMENT ON COLUMN market_agg_state.call_volume IS 'Calls traded that day, contracts; from the sender';
COMMENT ON COLUMN market_agg_state.put_volume IS 'Puts traded that day, contracts; from the sender';
COMMENT ON COLUMN market_agg_state.put_call_ratio IS 'Puts traded by calls traded; from the sender';
COMMENT ON COLUMN market_agg_state.call_premium_otm_only IS
    'Dollars paid for calls out of the money; from the sender, not always there';
COMMENT ON COLUMN market_agg_state.put_premium_otm_only IS
    'Dollars paid for puts out of the money; from the sender, not always there';
COMMENT ON COLUMN market_agg_state.delta IS 'Delta of that day''s trades; from the sender, not always there';
COMMENT ON COLUMN market_agg_state.gamma IS 'Gamma of that day''s trades; from the sender, not always there';
COMMENT ON COLUMN market_agg_state.theta IS 'Theta of that day''s trades; from the sender, not always there';
COMMENT ON COLUMN market_agg_state.vega IS 'Vega of that day''s trades; from the sender, not always there';

COMMENT ON TABLE schema_migrations IS 'The migrations that this file has seen';
COMMENT ON COLUMN schema_migrations.name IS 'File name of the migration';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied';
