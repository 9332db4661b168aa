-- The vendor's packages beside classic: see docs/formats.md. No keys and no secondary indexes, as in 0001;
-- compression of rows as in 0003.

CREATE TABLE state_snapshots (
    timestamp BIGINT NOT NULL,
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    spot_price DOUBLE NOT NULL,
    zero_gamma DOUBLE,
    min_dte INTEGER,
    sec_min_dte INTEGER,
    major_pos_vol DOUBLE,
    major_pos_oi DOUBLE,
    major_neg_vol DOUBLE,
    major_neg_oi DOUBLE,
    sum_gex_vol DOUBLE,
    sum_gex_oi DOUBLE,
    delta_risk_reversal DOUBLE,
    call_wall_candidate1_pct DOUBLE,
    call_wall_candidate2_pct DOUBLE,
    put_wall_candidate1_pct DOUBLE,
    put_wall_candidate2_pct DOUBLE,
    max_priors VARCHAR,
    source VARCHAR NOT NULL,
    job_id VARCHAR
);

COMMENT ON TABLE state_snapshots IS
    'GEX of the state package: one row a second of a ticker and endpoint, without its strikes';
COMMENT ON COLUMN state_snapshots.timestamp IS 'UTC epoch milliseconds';
COMMENT ON COLUMN state_snapshots.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN state_snapshots.endpoint IS
    'The package and its category: state_gex_zero, state_gex_one or state_gex_full';
COMMENT ON COLUMN state_snapshots.spot_price IS 'Price of the underlying, in points; the vendor''s spot';
COMMENT ON COLUMN state_snapshots.zero_gamma IS
    'Level at which GEX by volume changes its sign, in points; from the vendor';
COMMENT ON COLUMN state_snapshots.min_dte IS 'Days to the nearest expiration; from the vendor';
COMMENT ON COLUMN state_snapshots.sec_min_dte IS 'Days to the second nearest expiration; from the vendor';
COMMENT ON COLUMN state_snapshots.major_pos_vol IS
    'Strike with the most positive GEX by volume, in points; from the vendor';
COMMENT ON COLUMN state_snapshots.major_pos_oi IS
    'Strike with the most positive GEX by open interest, in points; from the vendor';
COMMENT ON COLUMN state_snapshots.major_neg_vol IS
    'Strike with the most negative GEX by volume, in points; from the vendor';
COMMENT ON COLUMN state_snapshots.major_neg_oi IS
    'Strike with the most negative GEX by open interest, in points; from the vendor';
COMMENT ON COLUMN state_snapshots.sum_gex_vol IS
    'GEX by volume over all strikes, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN state_snapshots.sum_gex_oi IS
    'GEX by open interest over all strikes, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN state_snapshots.delta_risk_reversal IS
    'Skew between calls and puts of the same delta, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN state_snapshots.call_wall_candidate1_pct IS
    'First candidate of the call wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN state_snapshots.call_wall_candidate2_pct IS
    'Second candidate of the call wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN state_snapshots.put_wall_candidate1_pct IS
    'First candidate of the put wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN state_snapshots.put_wall_candidate2_pct IS
    'Second candidate of the put wall, in percent; from the vendor, in some records only';
COMMENT ON COLUMN state_snapshots.max_priors IS
    'JSON text: six [strike, change] pairs, the largest changes of GEX by volume; from the vendor';
COMMENT ON COLUMN state_snapshots.source IS 'history: from a day''s file';
COMMENT ON COLUMN state_snapshots.job_id IS 'The job that brought the row in';

CREATE TABLE state_strikes (
    timestamp BIGINT NOT NULL USING COMPRESSION rle,
    ticker VARCHAR NOT NULL USING COMPRESSION dict_fsst,
    endpoint VARCHAR NOT NULL USING COMPRESSION dict_fsst,
    strike DOUBLE NOT NULL USING COMPRESSION alp,
    gamma DOUBLE USING COMPRESSION alp,
    oi_gamma DOUBLE USING COMPRESSION alp,
    priors VARCHAR USING COMPRESSION zstd
);

COMMENT ON TABLE state_strikes IS
    'GEX of the state package: one row a strike of a snapshot; the Parquet files have the same rows';
COMMENT ON COLUMN state_strikes.timestamp IS 'UTC epoch milliseconds';
COMMENT ON COLUMN state_strikes.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN state_strikes.endpoint IS
    'The package and its category: state_gex_zero, state_gex_one or state_gex_full';
COMMENT ON COLUMN state_strikes.strike IS 'Strike price, in points; from the vendor';
COMMENT ON COLUMN state_strikes.gamma IS 'GEX by volume, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN state_strikes.oi_gamma IS 'GEX by open interest, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN state_strikes.priors IS
    'JSON text: gamma 1, 5, 10, 15 and 30 minutes ago; the array may be shorter, empty or NULL; from the vendor';

CREATE TABLE state_greeks (
    timestamp BIGINT NOT NULL,
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    spot_price DOUBLE NOT NULL,
    min_dte INTEGER,
    sec_min_dte INTEGER,
    major_positive DOUBLE,
    major_negative DOUBLE,
    major_long_gamma DOUBLE,
    major_short_gamma DOUBLE,
    source VARCHAR NOT NULL,
    job_id VARCHAR
);

COMMENT ON TABLE state_greeks IS
    'Greeks of the state package: one row a second of a ticker and endpoint, without its strikes';
COMMENT ON COLUMN state_greeks.timestamp IS 'UTC epoch milliseconds';
COMMENT ON COLUMN state_greeks.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN state_greeks.endpoint IS
    'The package, the Greek and the expirations counted: state_delta_zero, state_vanna_one';
COMMENT ON COLUMN state_greeks.spot_price IS 'Price of the underlying, in points; the vendor''s spot';
COMMENT ON COLUMN state_greeks.min_dte IS 'Days to the nearest expiration; from the vendor';
COMMENT ON COLUMN state_greeks.sec_min_dte IS 'Days to the second nearest expiration; from the vendor';
COMMENT ON COLUMN state_greeks.major_positive IS
    'Level of the most positive figure, in points; from the vendor';
COMMENT ON COLUMN state_greeks.major_negative IS
    'Level of the most negative figure, in points; from the vendor';
COMMENT ON COLUMN state_greeks.major_long_gamma IS 'Level of the most long gamma, in points; from the vendor';
COMMENT ON COLUMN state_greeks.major_short_gamma IS
    'Level of the most short gamma, in points; from the vendor';
COMMENT ON COLUMN state_greeks.source IS 'history: from a day''s file';
COMMENT ON COLUMN state_greeks.job_id IS 'The job that brought the row in';

CREATE TABLE state_contracts (
    timestamp BIGINT NOT NULL USING COMPRESSION rle,
    ticker VARCHAR NOT NULL USING COMPRESSION dict_fsst,
    endpoint VARCHAR NOT NULL USING COMPRESSION dict_fsst,
    strike DOUBLE NOT NULL USING COMPRESSION alp,
    call_ivol DOUBLE USING COMPRESSION alp,
    put_ivol DOUBLE USING COMPRESSION alp,
    greek DOUBLE USING COMPRESSION alp,
    priors VARCHAR USING COMPRESSION zstd,
    put_cvolume DOUBLE,
    put_cvolume_priors VARCHAR
);

COMMENT ON TABLE state_contracts IS
    'Greeks of the state package: one row a strike of a record; the Parquet files have the same rows';
COMMENT ON COLUMN state_contracts.timestamp IS 'UTC epoch milliseconds';
COMMENT ON COLUMN state_contracts.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN state_contracts.endpoint IS
    'The package, the Greek and the expirations counted: state_delta_zero, state_vanna_one';
COMMENT ON COLUMN state_contracts.strike IS 'Strike price, in points; from the vendor';
COMMENT ON COLUMN state_contracts.call_ivol IS
    'Implied volatility of the call, as a share: 0.25 is 25 percent; from the vendor';
COMMENT ON COLUMN state_contracts.put_ivol IS
    'Implied volatility of the put, as a share: 0.25 is 25 percent; from the vendor';
COMMENT ON COLUMN state_contracts.greek IS
    'Figure of the Greek that the endpoint names, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN state_contracts.priors IS
    'JSON text: three earlier figures of the Greek; the vendor does not say how old; from the vendor';
COMMENT ON COLUMN state_contracts.put_cvolume IS 'Volume of puts, contracts; NULL but in volume categories';
COMMENT ON COLUMN state_contracts.put_cvolume_priors IS
    'JSON text: earlier volumes of puts; NULL but in volume categories';

CREATE TABLE orderflow (
    timestamp BIGINT NOT NULL,
    ticker VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    spot_price DOUBLE NOT NULL,
    z_mlgamma DOUBLE,
    z_msgamma DOUBLE,
    o_mlgamma DOUBLE,
    o_msgamma DOUBLE,
    zero_mcall DOUBLE,
    zero_mput DOUBLE,
    one_mcall DOUBLE,
    one_mput DOUBLE,
    zcvr DOUBLE,
    ocvr DOUBLE,
    zgr DOUBLE,
    ogr DOUBLE,
    zvanna DOUBLE,
    ovanna DOUBLE,
    zcharm DOUBLE,
    ocharm DOUBLE,
    agg_dex DOUBLE,
    one_agg_dex DOUBLE,
    agg_call_dex DOUBLE,
    one_agg_call_dex DOUBLE,
    agg_put_dex DOUBLE,
    one_agg_put_dex DOUBLE,
    net_dex DOUBLE,
    one_net_dex DOUBLE,
    net_call_dex DOUBLE,
    one_net_call_dex DOUBLE,
    net_put_dex DOUBLE,
    one_net_put_dex DOUBLE,
    dexoflow DOUBLE,
    gexoflow DOUBLE,
    cvroflow DOUBLE,
    one_dexoflow DOUBLE,
    one_gexoflow DOUBLE,
    one_cvroflow DOUBLE,
    min_dte INTEGER,
    sec_min_dte INTEGER,
    zero_gamma DOUBLE,
    major_pos_vol DOUBLE,
    major_pos_oi DOUBLE,
    major_neg_vol DOUBLE,
    major_neg_oi DOUBLE,
    sum_gex_vol DOUBLE,
    sum_gex_oi DOUBLE,
    delta_risk_reversal DOUBLE,
    source VARCHAR NOT NULL,
    job_id VARCHAR
);

COMMENT ON TABLE orderflow IS
    'The orderflow package: one row a second of a ticker; the Parquet files have the same figures';
COMMENT ON COLUMN orderflow.timestamp IS 'UTC epoch milliseconds';
COMMENT ON COLUMN orderflow.ticker IS 'The vendor''s name of what is traded, in capitals: NQ_NDX, SPX';
COMMENT ON COLUMN orderflow.endpoint IS 'orderflow: the package has one category';
COMMENT ON COLUMN orderflow.spot_price IS 'Price of the underlying, in points; the vendor''s spot';
COMMENT ON COLUMN orderflow.z_mlgamma IS 'Level of major long gamma, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.z_msgamma IS 'Level of major short gamma, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.o_mlgamma IS
    'Level of major long gamma, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.o_msgamma IS
    'Level of major short gamma, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zero_mcall IS 'Level of major call gamma, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zero_mput IS 'Level of major put gamma, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_mcall IS
    'Level of major call gamma, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_mput IS
    'Level of major put gamma, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zcvr IS 'Convexity ratio, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.ocvr IS 'Convexity ratio, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zgr IS 'GEX ratio, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.ogr IS 'GEX ratio, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zvanna IS 'Net vanna, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.ovanna IS 'Net vanna, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zcharm IS 'Net charm, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.ocharm IS 'Net charm, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.agg_dex IS 'Aggregate delta exposure, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_agg_dex IS
    'Aggregate delta exposure, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.agg_call_dex IS
    'Aggregate delta exposure of calls, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_agg_call_dex IS
    'Aggregate delta exposure of calls, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.agg_put_dex IS
    'Aggregate delta exposure of puts, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_agg_put_dex IS
    'Aggregate delta exposure of puts, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.net_dex IS 'Net delta exposure, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_net_dex IS 'Net delta exposure, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.net_call_dex IS
    'Net delta exposure of calls, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_net_call_dex IS
    'Net delta exposure of calls, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.net_put_dex IS 'Net delta exposure of puts, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_net_put_dex IS
    'Net delta exposure of puts, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.dexoflow IS 'Order flow of delta exposure, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.gexoflow IS 'Order flow of GEX, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.cvroflow IS 'Order flow of convexity, nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_dexoflow IS
    'Order flow of delta exposure, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_gexoflow IS 'Order flow of GEX, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.one_cvroflow IS
    'Order flow of convexity, second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.min_dte IS 'Days to the nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.sec_min_dte IS 'Days to the second nearest expiration; from the vendor';
COMMENT ON COLUMN orderflow.zero_gamma IS
    'Level at which GEX by volume changes its sign, in points; from the vendor';
COMMENT ON COLUMN orderflow.major_pos_vol IS
    'Strike with the most positive GEX by volume, in points; from the vendor';
COMMENT ON COLUMN orderflow.major_pos_oi IS
    'Strike with the most positive GEX by open interest, in points; from the vendor';
COMMENT ON COLUMN orderflow.major_neg_vol IS
    'Strike with the most negative GEX by volume, in points; from the vendor';
COMMENT ON COLUMN orderflow.major_neg_oi IS
    'Strike with the most negative GEX by open interest, in points; from the vendor';
COMMENT ON COLUMN orderflow.sum_gex_vol IS
    'GEX by volume over all strikes, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN orderflow.sum_gex_oi IS
    'GEX by open interest over all strikes, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN orderflow.delta_risk_reversal IS
    'Skew between calls and puts of the same delta, in the vendor''s unit; from the vendor';
COMMENT ON COLUMN orderflow.source IS 'history: from a day''s file';
COMMENT ON COLUMN orderflow.job_id IS 'The job that brought the row in';
