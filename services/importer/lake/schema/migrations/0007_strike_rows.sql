-- Records of orderflow have no strikes: their Parquet file has the rows of the records themselves.
COMMENT ON COLUMN partitions.strike_rows IS 'Rows in gex_strikes, or the table of the endpoint''s strikes or contracts; 0 if it has none';
