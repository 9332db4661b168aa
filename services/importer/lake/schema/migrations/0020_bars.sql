-- Minute bars and market snapshots. A minute of a symbol is one row as traded, and perhaps one adjusted for splits.
CREATE TABLE ohlcv_1m (
    symbol VARCHAR NOT NULL,
    timestamp BIGINT NOT NULL,
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL,
    vwap DOUBLE,
    trades BIGINT,
    source VARCHAR NOT NULL,
    adjusted BOOLEAN NOT NULL,
    received_at TIMESTAMPTZ NOT NULL
);

-- Rows of ohlcv_1m that the Parquet files lack: queries read them in place of those of the files.
CREATE TABLE recent_bars (
    symbol VARCHAR NOT NULL,
    timestamp BIGINT NOT NULL,
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL,
    vwap DOUBLE,
    trades BIGINT,
    source VARCHAR NOT NULL,
    adjusted BOOLEAN NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    trading_day DATE NOT NULL,
    sequence BIGINT NOT NULL
);

CREATE TABLE bar_days (
    trading_day DATE NOT NULL,
    last_sequence BIGINT NOT NULL,
    exported_sequence BIGINT NOT NULL
);

CREATE TABLE snapshots (
    symbol VARCHAR NOT NULL,
    timestamp BIGINT NOT NULL,
    minute BIGINT,
    minute_close DOUBLE,
    minute_volume DOUBLE,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE,
    volume DOUBLE,
    vwap DOUBLE,
    previous_close DOUBLE,
    change DOUBLE,
    change_percent DOUBLE,
    trade_price DOUBLE,
    trade_size DOUBLE,
    bid DOUBLE,
    bid_size DOUBLE,
    ask DOUBLE,
    ask_size DOUBLE,
    received_at TIMESTAMPTZ NOT NULL
);

CREATE VIEW ohlcv_5m AS
SELECT symbol, "timestamp" - "timestamp" % 300000 AS start, adjusted, arg_min(open, "timestamp") AS open,
    max(high) AS high, min(low) AS low, arg_max(close, "timestamp") AS close, sum(volume) AS volume,
    sum(vwap * volume) / nullif(sum(volume) FILTER (vwap IS NOT NULL), 0) AS vwap, sum(trades)::BIGINT AS trades,
    count(*) AS minutes
FROM ohlcv_1m GROUP BY symbol, start, adjusted;

CREATE VIEW ohlcv_15m AS
SELECT symbol, "timestamp" - "timestamp" % 900000 AS start, adjusted, arg_min(open, "timestamp") AS open,
    max(high) AS high, min(low) AS low, arg_max(close, "timestamp") AS close, sum(volume) AS volume,
    sum(vwap * volume) / nullif(sum(volume) FILTER (vwap IS NOT NULL), 0) AS vwap, sum(trades)::BIGINT AS trades,
    count(*) AS minutes
FROM ohlcv_1m GROUP BY symbol, start, adjusted;

CREATE VIEW ohlcv_60m AS
SELECT symbol, "timestamp" - "timestamp" % 3600000 AS start, adjusted, arg_min(open, "timestamp") AS open,
    max(high) AS high, min(low) AS low, arg_max(close, "timestamp") AS close, sum(volume) AS volume,
    sum(vwap * volume) / nullif(sum(volume) FILTER (vwap IS NOT NULL), 0) AS vwap, sum(trades)::BIGINT AS trades,
    count(*) AS minutes
FROM ohlcv_1m GROUP BY symbol, start, adjusted;

CREATE VIEW ohlcv_1d AS
SELECT symbol, CAST(new_york_time("timestamp") AS DATE) AS trading_day, adjusted, arg_min(open, "timestamp") AS open,
    max(high) AS high, min(low) AS low, arg_max(close, "timestamp") AS close, sum(volume) AS volume,
    sum(vwap * volume) / nullif(sum(volume) FILTER (vwap IS NOT NULL), 0) AS vwap, sum(trades)::BIGINT AS trades,
    count(*) AS minutes
FROM ohlcv_1m GROUP BY symbol, trading_day, adjusted;

COMMENT ON TABLE ohlcv_1m IS
    'One row a symbol and minute in which something was traded; a minute without trades has none';
COMMENT ON COLUMN ohlcv_1m.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN ohlcv_1m.timestamp IS 'Start of the minute, UTC epoch milliseconds';
COMMENT ON COLUMN ohlcv_1m.open IS 'First price, USD';
COMMENT ON COLUMN ohlcv_1m.high IS 'Highest price, USD';
COMMENT ON COLUMN ohlcv_1m.low IS 'Lowest price, USD';
COMMENT ON COLUMN ohlcv_1m.close IS 'Last price, USD';
COMMENT ON COLUMN ohlcv_1m.volume IS 'Shares traded; may have a fraction';
COMMENT ON COLUMN ohlcv_1m.vwap IS 'Volume-weighted average price, USD; NULL if the vendor did not send it';
COMMENT ON COLUMN ohlcv_1m.trades IS 'How many trades; NULL if the vendor did not send it';
COMMENT ON COLUMN ohlcv_1m.source IS 'flat_file or rest, which are official, or stream';
COMMENT ON COLUMN ohlcv_1m.adjusted IS
    'Whether prices and volume are adjusted for the splits up to received_at; otherwise as traded';
COMMENT ON COLUMN ohlcv_1m.received_at IS 'When gexlake received it';
COMMENT ON TABLE recent_bars IS 'Rows of ohlcv_1m that the Parquet files do not have yet; read ohlcv_1m';
COMMENT ON COLUMN recent_bars.sequence IS 'Number of the batch that wrote the row';
COMMENT ON TABLE bar_days IS 'One row a trading day with minute bars: whether its Parquet file has all of them';
COMMENT ON COLUMN bar_days.trading_day IS 'Date in New York';
COMMENT ON COLUMN bar_days.last_sequence IS 'Number of the last batch that changed the day';
COMMENT ON COLUMN bar_days.exported_sequence IS 'Number of the last batch that its Parquet file has';
COMMENT ON TABLE snapshots IS 'One row a symbol: its newest market snapshot';
COMMENT ON COLUMN snapshots.timestamp IS 'When the vendor updated it, UTC epoch milliseconds';
COMMENT ON COLUMN snapshots.minute IS
    'Start of the latest minute with trades, UTC epoch milliseconds; NULL before the first one of a day';
COMMENT ON COLUMN snapshots.minute_close IS 'Last price of that minute, USD';
COMMENT ON COLUMN snapshots.minute_volume IS 'Shares traded in that minute';
COMMENT ON COLUMN snapshots.open IS 'First price of the day, USD; NULL before its first trade';
COMMENT ON COLUMN snapshots.high IS 'Highest price of the day, USD';
COMMENT ON COLUMN snapshots.low IS 'Lowest price of the day, USD';
COMMENT ON COLUMN snapshots.close IS 'Latest price of the day, USD';
COMMENT ON COLUMN snapshots.volume IS 'Shares traded on the day so far';
COMMENT ON COLUMN snapshots.vwap IS 'Volume-weighted average price of the day so far, USD';
COMMENT ON COLUMN snapshots.previous_close IS 'Last price of the trading day before, USD';
COMMENT ON COLUMN snapshots.change IS 'Since previous_close, USD';
COMMENT ON COLUMN snapshots.change_percent IS 'Since previous_close, percent';
COMMENT ON COLUMN snapshots.trade_price IS 'Price of the last trade, USD; NULL if the plan lacks trades';
COMMENT ON COLUMN snapshots.bid IS 'Best bid, USD; NULL if the plan lacks quotes';
COMMENT ON COLUMN snapshots.received_at IS 'When gexlake received it';
COMMENT ON VIEW ohlcv_5m IS 'Bars of 5 minutes, from ohlcv_1m';
COMMENT ON VIEW ohlcv_15m IS 'Bars of 15 minutes, from ohlcv_1m';
COMMENT ON VIEW ohlcv_60m IS 'Bars of full hours, from ohlcv_1m';
COMMENT ON VIEW ohlcv_1d IS 'Bars of trading days, extended hours included, from ohlcv_1m';
COMMENT ON COLUMN ohlcv_5m.start IS 'Start of the bar, UTC epoch milliseconds';
COMMENT ON COLUMN ohlcv_15m.start IS 'Start of the bar, UTC epoch milliseconds';
COMMENT ON COLUMN ohlcv_60m.start IS 'Start of the bar, UTC epoch milliseconds';
COMMENT ON COLUMN ohlcv_1d.trading_day IS 'Date in New York';
COMMENT ON COLUMN ohlcv_5m.minutes IS 'In how many minutes something was traded';
COMMENT ON COLUMN ohlcv_15m.minutes IS 'In how many minutes something was traded';
COMMENT ON COLUMN ohlcv_60m.minutes IS 'In how many minutes something was traded';
COMMENT ON COLUMN ohlcv_1d.minutes IS 'In how many minutes something was traded';
COMMENT ON COLUMN ohlcv_5m.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN ohlcv_5m.adjusted IS 'Whether prices and volume are adjusted for splits; otherwise as traded';
COMMENT ON COLUMN ohlcv_5m.open IS 'First price, USD';
COMMENT ON COLUMN ohlcv_5m.high IS 'Highest price, USD';
COMMENT ON COLUMN ohlcv_5m.low IS 'Lowest price, USD';
COMMENT ON COLUMN ohlcv_5m.close IS 'Last price, USD';
COMMENT ON COLUMN ohlcv_5m.volume IS 'Shares traded; may have a fraction';
COMMENT ON COLUMN ohlcv_5m.vwap IS 'Volume-weighted average price of the minutes that have one, USD';
COMMENT ON COLUMN ohlcv_5m.trades IS 'How many trades; NULL if no minute has their number';
COMMENT ON COLUMN ohlcv_15m.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN ohlcv_15m.adjusted IS 'Whether prices and volume are adjusted for splits; otherwise as traded';
COMMENT ON COLUMN ohlcv_15m.open IS 'First price, USD';
COMMENT ON COLUMN ohlcv_15m.high IS 'Highest price, USD';
COMMENT ON COLUMN ohlcv_15m.low IS 'Lowest price, USD';
COMMENT ON COLUMN ohlcv_15m.close IS 'Last price, USD';
COMMENT ON COLUMN ohlcv_15m.volume IS 'Shares traded; may have a fraction';
COMMENT ON COLUMN ohlcv_15m.vwap IS 'Volume-weighted average price of the minutes that have one, USD';
COMMENT ON COLUMN ohlcv_15m.trades IS 'How many trades; NULL if no minute has their number';
COMMENT ON COLUMN ohlcv_60m.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN ohlcv_60m.adjusted IS 'Whether prices and volume are adjusted for splits; otherwise as traded';
COMMENT ON COLUMN ohlcv_60m.open IS 'First price, USD';
COMMENT ON COLUMN ohlcv_60m.high IS 'Highest price, USD';
COMMENT ON COLUMN ohlcv_60m.low IS 'Lowest price, USD';
COMMENT ON COLUMN ohlcv_60m.close IS 'Last price, USD';
COMMENT ON COLUMN ohlcv_60m.volume IS 'Shares traded; may have a fraction';
COMMENT ON COLUMN ohlcv_60m.vwap IS 'Volume-weighted average price of the minutes that have one, USD';
COMMENT ON COLUMN ohlcv_60m.trades IS 'How many trades; NULL if no minute has their number';
COMMENT ON COLUMN ohlcv_1d.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN ohlcv_1d.adjusted IS 'Whether prices and volume are adjusted for splits; otherwise as traded';
COMMENT ON COLUMN ohlcv_1d.open IS 'First price, USD';
COMMENT ON COLUMN ohlcv_1d.high IS 'Highest price, USD';
COMMENT ON COLUMN ohlcv_1d.low IS 'Lowest price, USD';
COMMENT ON COLUMN ohlcv_1d.close IS 'Last price, USD';
COMMENT ON COLUMN ohlcv_1d.volume IS 'Shares traded; may have a fraction';
COMMENT ON COLUMN ohlcv_1d.vwap IS 'Volume-weighted average price of the minutes that have one, USD';
COMMENT ON COLUMN ohlcv_1d.trades IS 'How many trades; NULL if no minute has their number';
COMMENT ON COLUMN recent_bars.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN recent_bars.timestamp IS 'Start of the minute, UTC epoch milliseconds';
COMMENT ON COLUMN recent_bars.open IS 'First price, USD';
COMMENT ON COLUMN recent_bars.high IS 'Highest price, USD';
COMMENT ON COLUMN recent_bars.low IS 'Lowest price, USD';
COMMENT ON COLUMN recent_bars.close IS 'Last price, USD';
COMMENT ON COLUMN recent_bars.volume IS 'Shares traded; may have a fraction';
COMMENT ON COLUMN recent_bars.vwap IS 'Volume-weighted average price, USD';
COMMENT ON COLUMN recent_bars.trades IS 'How many trades';
COMMENT ON COLUMN recent_bars.source IS 'flat_file or rest, which are official, or stream';
COMMENT ON COLUMN recent_bars.adjusted IS 'Whether prices and volume are adjusted for splits';
COMMENT ON COLUMN recent_bars.received_at IS 'When gexlake received it';
COMMENT ON COLUMN recent_bars.trading_day IS 'Date in New York';
COMMENT ON COLUMN snapshots.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN snapshots.trade_size IS 'Shares of the last trade';
COMMENT ON COLUMN snapshots.bid_size IS 'Size of the bid, as the vendor sends it';
COMMENT ON COLUMN snapshots.ask IS 'Best ask, USD';
COMMENT ON COLUMN snapshots.ask_size IS 'Size of the ask, as the vendor sends it';
