-- What is known of minutes without a bar: the days that the vendor has answered for, and the gaps.
CREATE TABLE complete_bar_days (
    symbol VARCHAR NOT NULL,
    trading_day DATE NOT NULL,
    source VARCHAR NOT NULL,
    answered_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE bar_gaps (
    symbol VARCHAR NOT NULL,
    start TIMESTAMPTZ NOT NULL,
    "end" TIMESTAMPTZ NOT NULL,
    missing INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    detected_at TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    attempts INTEGER NOT NULL,
    asked_at TIMESTAMPTZ,
    reason VARCHAR
);

COMMENT ON TABLE complete_bar_days IS
    'One row a symbol and day of which the lake has all bars as traded that the vendor has: its other minutes had no trades';
COMMENT ON COLUMN complete_bar_days.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN complete_bar_days.trading_day IS 'Date in New York: any weekday, because holidays are answered for, too';
COMMENT ON COLUMN complete_bar_days.source IS 'Who answered last: flat_file or rest';
COMMENT ON COLUMN complete_bar_days.answered_at IS 'When gexlake received the last answer';
COMMENT ON TABLE bar_gaps IS 'One row a run of minutes of a session in which a symbol has, or had, no bar';
COMMENT ON COLUMN bar_gaps.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN bar_gaps.start IS 'Start of the first missing minute';
COMMENT ON COLUMN bar_gaps."end" IS 'End of the last missing minute';
COMMENT ON COLUMN bar_gaps.missing IS 'How many minutes';
COMMENT ON COLUMN bar_gaps.status IS
    'open, filled (the bars have arrived), no_trades (the vendor has none) or unfillable (the vendor refuses)';
COMMENT ON COLUMN bar_gaps.detected_at IS 'When it was first found';
COMMENT ON COLUMN bar_gaps.resolved_at IS 'When it was found to be filled, without trades or unfillable; NULL while it is open';
COMMENT ON COLUMN bar_gaps.attempts IS 'How often the vendor was to be asked for it';
COMMENT ON COLUMN bar_gaps.asked_at IS 'When the vendor was last to be asked for it; NULL if never';
COMMENT ON COLUMN bar_gaps.reason IS 'Why it cannot be filled; NULL in other statuses';
