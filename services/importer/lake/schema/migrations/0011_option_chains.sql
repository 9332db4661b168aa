-- Snapshots of option chains: open interest, volumes, quotes and Greeks by strike.
CREATE TABLE chain_snapshots (
    snapshot_id UUID NOT NULL,
    job_id VARCHAR,
    market_symbol VARCHAR NOT NULL,
    snapshot_date DATE NOT NULL,
    snapshot_time TIME NOT NULL,
    timestamp BIGINT NOT NULL,
    strikes INTEGER NOT NULL,
    total_open_interest BIGINT NOT NULL,
    total_volume BIGINT NOT NULL,
    processed_at TIMESTAMPTZ NOT NULL,
    content_digest VARCHAR NOT NULL,
    data_quality_score DOUBLE NOT NULL
);

CREATE TABLE chain_strikes (
    snapshot_id UUID NOT NULL,
    market_symbol VARCHAR NOT NULL,
    snapshot_date DATE NOT NULL,
    timestamp BIGINT NOT NULL,
    strike_number INTEGER NOT NULL,
    strike_price DOUBLE NOT NULL,
    call_open_interest BIGINT NOT NULL,
    put_open_interest BIGINT NOT NULL,
    call_volume BIGINT,
    put_volume BIGINT,
    call_bid DOUBLE,
    call_ask DOUBLE,
    put_bid DOUBLE,
    put_ask DOUBLE,
    gamma DOUBLE,
    delta DOUBLE,
    theta DOUBLE,
    vega DOUBLE
);

CREATE VIEW option_chains AS
SELECT
    snapshot.snapshot_id, snapshot.job_id, snapshot.market_symbol, snapshot.snapshot_date,
    snapshot.snapshot_time, snapshot.timestamp, snapshot.strikes, snapshot.total_open_interest,
    snapshot.total_volume, snapshot.processed_at, snapshot.content_digest, snapshot.data_quality_score,
    strike.strike_number, strike.strike_price, strike.call_open_interest, strike.put_open_interest,
    strike.call_volume, strike.put_volume, strike.call_bid, strike.call_ask, strike.put_bid,
    strike.put_ask, strike.gamma, strike.delta, strike.theta, strike.vega
FROM chain_snapshots AS snapshot
JOIN chain_strikes AS strike
    ON strike.snapshot_id = snapshot.snapshot_id
    AND strike.market_symbol = snapshot.market_symbol
    AND strike.snapshot_date = snapshot.snapshot_date
    AND strike.timestamp = snapshot.timestamp;

CREATE TABLE live_chains (
    market_symbol VARCHAR NOT NULL,
    snapshot_date DATE NOT NULL,
    timestamp BIGINT,
    snapshots BIGINT NOT NULL,
    strike_rows BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    exported_sequence BIGINT NOT NULL
);

COMMENT ON TABLE chain_snapshots IS 'One row a snapshot of an option chain';
COMMENT ON COLUMN chain_snapshots.snapshot_id IS 'The client''s, or derived from the content';
COMMENT ON COLUMN chain_snapshots.job_id IS 'The job that made the snapshot, as the client named it';
COMMENT ON COLUMN chain_snapshots.market_symbol IS 'Symbol of the underlying, in upper case';
COMMENT ON COLUMN chain_snapshots.snapshot_date IS 'Date of the snapshot in New York';
COMMENT ON COLUMN chain_snapshots.snapshot_time IS 'Time of the snapshot in New York, to the millisecond';
COMMENT ON COLUMN chain_snapshots.timestamp IS 'The same moment: UTC epoch milliseconds';
COMMENT ON COLUMN chain_snapshots.strikes IS 'How many strikes the snapshot has';
COMMENT ON COLUMN chain_snapshots.total_open_interest IS 'Open interest of all calls and puts, contracts';
COMMENT ON COLUMN chain_snapshots.total_volume IS
    'Volume of all calls and puts, contracts; what was not sent counts as none';
COMMENT ON COLUMN chain_snapshots.processed_at IS 'When intake received this content';
COMMENT ON COLUMN chain_snapshots.content_digest IS
    'Digest of what was sent: the same content has the same one';
COMMENT ON COLUMN chain_snapshots.data_quality_score IS
    '0 to 1 as it arrived: completeness, order, distinct strikes, quotes, freshness';

COMMENT ON TABLE chain_strikes IS 'One row a strike of a snapshot of an option chain';
COMMENT ON COLUMN chain_strikes.snapshot_id IS 'As in chain_snapshots';
COMMENT ON COLUMN chain_strikes.market_symbol IS 'As in chain_snapshots';
COMMENT ON COLUMN chain_strikes.snapshot_date IS 'As in chain_snapshots: date in New York';
COMMENT ON COLUMN chain_strikes.timestamp IS 'As in chain_snapshots: UTC epoch milliseconds';
COMMENT ON COLUMN chain_strikes.strike_number IS
    'The place of the strike in the snapshot as it was sent, from 1';
COMMENT ON COLUMN chain_strikes.strike_price IS 'Strike price of the options';
COMMENT ON COLUMN chain_strikes.call_open_interest IS 'Open interest of the call, contracts';
COMMENT ON COLUMN chain_strikes.put_open_interest IS 'Open interest of the put, contracts';
COMMENT ON COLUMN chain_strikes.call_volume IS 'Volume of the call, contracts';
COMMENT ON COLUMN chain_strikes.put_volume IS 'Volume of the put, contracts';
COMMENT ON COLUMN chain_strikes.call_bid IS 'Bid price of the call';
COMMENT ON COLUMN chain_strikes.call_ask IS 'Ask price of the call';
COMMENT ON COLUMN chain_strikes.put_bid IS 'Bid price of the put';
COMMENT ON COLUMN chain_strikes.put_ask IS 'Ask price of the put';
COMMENT ON COLUMN chain_strikes.gamma IS 'Gamma exposure, in the sender''s unit';
COMMENT ON COLUMN chain_strikes.delta IS 'Delta exposure, in the sender''s unit';
COMMENT ON COLUMN chain_strikes.theta IS 'Theta exposure, in the sender''s unit';
COMMENT ON COLUMN chain_strikes.vega IS 'Vega exposure, in the sender''s unit';

COMMENT ON VIEW option_chains IS 'The strikes of option chains, each with its snapshot';
COMMENT ON COLUMN option_chains.snapshot_id IS
    'As in chain_snapshots: the client''s, or derived from the content';
COMMENT ON COLUMN option_chains.job_id IS
    'As in chain_snapshots: the job that made the snapshot, as the client named it';
COMMENT ON COLUMN option_chains.market_symbol IS
    'As in chain_snapshots: symbol of the underlying, in upper case';
COMMENT ON COLUMN option_chains.snapshot_date IS 'As in chain_snapshots: date of the snapshot in New York';
COMMENT ON COLUMN option_chains.snapshot_time IS
    'As in chain_snapshots: time of the snapshot in New York, to the millisecond';
COMMENT ON COLUMN option_chains.timestamp IS 'As in chain_snapshots: the same moment: UTC epoch milliseconds';
COMMENT ON COLUMN option_chains.strikes IS 'As in chain_snapshots: how many strikes the snapshot has';
COMMENT ON COLUMN option_chains.total_open_interest IS
    'As in chain_snapshots: open interest of all calls and puts, contracts';
COMMENT ON COLUMN option_chains.total_volume IS
    'As in chain_snapshots: volume of all calls and puts, contracts; what was not sent counts as none';
COMMENT ON COLUMN option_chains.processed_at IS 'As in chain_snapshots: when intake received this content';
COMMENT ON COLUMN option_chains.content_digest IS
    'As in chain_snapshots: digest of what was sent: the same content has the same one';
COMMENT ON COLUMN option_chains.data_quality_score IS
    'As in chain_snapshots: 0 to 1 as it arrived: completeness, order, distinct strikes, quotes, freshness';
COMMENT ON COLUMN option_chains.strike_number IS
    'As in chain_strikes: the place of the strike in the snapshot as it was sent, from 1';
COMMENT ON COLUMN option_chains.strike_price IS 'As in chain_strikes: strike price of the options';
COMMENT ON COLUMN option_chains.call_open_interest IS
    'As in chain_strikes: open interest of the call, contracts';
COMMENT ON COLUMN option_chains.put_open_interest IS
    'As in chain_strikes: open interest of the put, contracts';
COMMENT ON COLUMN option_chains.call_volume IS 'As in chain_strikes: volume of the call, contracts';
COMMENT ON COLUMN option_chains.put_volume IS 'As in chain_strikes: volume of the put, contracts';
COMMENT ON COLUMN option_chains.call_bid IS 'As in chain_strikes: bid price of the call';
COMMENT ON COLUMN option_chains.call_ask IS 'As in chain_strikes: ask price of the call';
COMMENT ON COLUMN option_chains.put_bid IS 'As in chain_strikes: bid price of the put';
COMMENT ON COLUMN option_chains.put_ask IS 'As in chain_strikes: ask price of the put';
COMMENT ON COLUMN option_chains.gamma IS 'As in chain_strikes: gamma exposure, in the sender''s unit';
COMMENT ON COLUMN option_chains.delta IS 'As in chain_strikes: delta exposure, in the sender''s unit';
COMMENT ON COLUMN option_chains.theta IS 'As in chain_strikes: theta exposure, in the sender''s unit';
COMMENT ON COLUMN option_chains.vega IS 'As in chain_strikes: vega exposure, in the sender''s unit';

COMMENT ON TABLE live_chains IS
    'One row a Parquet file of option chains: how many rows it should have, and up to where it has them';
COMMENT ON COLUMN live_chains.market_symbol IS 'As in chain_snapshots';
COMMENT ON COLUMN live_chains.snapshot_date IS 'As in chain_snapshots: date in New York';
COMMENT ON COLUMN live_chains.timestamp IS
    'Of the snapshots in a file of their own; NULL for the file of a day';
COMMENT ON COLUMN live_chains.snapshots IS 'Rows in chain_snapshots';
COMMENT ON COLUMN live_chains.strike_rows IS 'Rows in chain_strikes';
COMMENT ON COLUMN live_chains.last_sequence IS 'Number of the last batch that changed them';
COMMENT ON COLUMN live_chains.exported_sequence IS
    'Number of the last batch that the Parquet file holds; a smaller one than last_sequence has to be exported';
