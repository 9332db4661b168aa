-- How far FEED is stored, and which partitions and hours hold live rows that Parquet does not have yet. A
-- batch's number is that of its last message in FEED plus sequence_base, so that numbers go on growing when
-- FEED is created again.
CREATE TABLE feed_position (
    stream VARCHAR NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    sequence BIGINT NOT NULL,
    sequence_base BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE live_partitions (
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    trading_day DATE NOT NULL,
    snapshots BIGINT NOT NULL,
    strike_rows BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    exported_sequence BIGINT NOT NULL
);

CREATE TABLE live_hours (
    table_name VARCHAR NOT NULL,
    hour TIMESTAMPTZ NOT NULL,
    rows BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    exported_sequence BIGINT NOT NULL
);

COMMENT ON TABLE feed_position IS 'One row a stream that is stored in batches: the last message that the lake holds';
COMMENT ON COLUMN feed_position.stream IS 'Name of the stream: FEED';
COMMENT ON COLUMN feed_position.created_at IS 'When the stream was created; another time is another stream';
COMMENT ON COLUMN feed_position.sequence IS 'Sequence number of the last message that is stored';
COMMENT ON COLUMN feed_position.sequence_base IS
    'What is added to a sequence number of the stream in live_partitions and live_hours';
COMMENT ON COLUMN feed_position.updated_at IS 'When the message was stored';

COMMENT ON TABLE live_partitions IS
    'One row a partition with live rows: how many, and up to where its Parquet file has them';
COMMENT ON COLUMN live_partitions.ticker IS 'As in gex_snapshots';
COMMENT ON COLUMN live_partitions.endpoint IS 'As in gex_snapshots';
COMMENT ON COLUMN live_partitions.trading_day IS 'Date in New York';
COMMENT ON COLUMN live_partitions.snapshots IS 'Live rows in gex_snapshots';
COMMENT ON COLUMN live_partitions.strike_rows IS 'Rows in gex_strikes of live snapshots';
COMMENT ON COLUMN live_partitions.last_sequence IS 'Number of the last batch that changed it';
COMMENT ON COLUMN live_partitions.exported_sequence IS
    'Number of the last batch that its Parquet file holds; a smaller one than last_sequence has to be exported';

COMMENT ON TABLE live_hours IS
    'One row a table of webhooks and hour: how many rows, and up to where its Parquet file has them';
COMMENT ON COLUMN live_hours.table_name IS
    'universal_webhooks, option_trades_events or market_agg_state';
COMMENT ON COLUMN live_hours.hour IS 'Start of the hour in which the webhooks arrived';
COMMENT ON COLUMN live_hours.rows IS 'Rows of that hour';
COMMENT ON COLUMN live_hours.last_sequence IS 'Number of the last batch that changed it';
COMMENT ON COLUMN live_hours.exported_sequence IS
    'Number of the last batch that its Parquet file holds; a smaller one than last_sequence has to be exported';
