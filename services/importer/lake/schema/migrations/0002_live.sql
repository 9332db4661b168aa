-- What the live feed and the webhooks deliver.
CREATE TABLE universal_webhooks (
    id VARCHAR NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    topic VARCHAR,
    event VARCHAR,
    payload_json VARCHAR NOT NULL,
    source_ip VARCHAR,
    user_agent VARCHAR
);

CREATE TABLE option_trades_events (
    received_at TIMESTAMPTZ NOT NULL,
    topic VARCHAR,
    topic_symbol VARCHAR,
    ticker VARCHAR,
    option_chain_id VARCHAR,
    type VARCHAR,
    strike DOUBLE,
    expiry DATE,
    dte INTEGER,
    price DOUBLE,
    size BIGINT,
    premium DOUBLE,
    volume BIGINT,
    open_interest BIGINT,
    underlying_price DOUBLE,
    implied_volatility DOUBLE,
    delta DOUBLE,
    gamma DOUBLE,
    theta DOUBLE,
    vega DOUBLE,
    rho DOUBLE,
    tags VARCHAR,
    executed_at TIMESTAMPTZ,
    trade_id VARCHAR,
    is_index_option BOOLEAN,
    raw VARCHAR
);

CREATE TABLE market_agg_state (
    received_at TIMESTAMPTZ NOT NULL,
    date DATE,
    call_premium DOUBLE,
    put_premium DOUBLE,
    call_volume BIGINT,
    put_volume BIGINT,
    put_call_ratio DOUBLE,
    call_premium_otm_only DOUBLE,
    put_premium_otm_only DOUBLE,
    delta DOUBLE,
    gamma DOUBLE,
    theta DOUBLE,
    vega DOUBLE
);
