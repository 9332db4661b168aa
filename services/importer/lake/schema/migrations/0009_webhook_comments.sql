-- How the columns of webhooks are filled.
COMMENT ON COLUMN universal_webhooks.id IS 'Digest of topic, event and payload: the same content has the same id';
COMMENT ON COLUMN universal_webhooks.payload_json IS
    'JSON text: the payload as it came, of a frame without join_ref and ref';
COMMENT ON COLUMN option_trades_events.ticker IS
    'Root of option_chain_id, such as SPXW; if that cannot be read, the sender''s ticker';
COMMENT ON COLUMN option_trades_events.dte IS
    'Days from the trade''s date in New York to the expiration; from the date of arrival if executed_at is NULL';
COMMENT ON COLUMN option_trades_events.executed_at IS
    'When the trade was made, 2000 to 2099; from the sender: ISO 8601 or an epoch time';
COMMENT ON COLUMN option_trades_events.is_index_option IS
    'Whether the underlying is an index: issue_type of the sender is Index, or ticker is a known root (SPX, SPXW, NDX, …)';
COMMENT ON COLUMN option_trades_events.raw IS
    'JSON text: the payload as it came, with fields that have no column, such as _computed';
COMMENT ON TABLE market_agg_state IS 'One row a state of the whole options market that a webhook reported';
COMMENT ON TABLE option_trades_events IS 'One row an option trade that a webhook reported';
