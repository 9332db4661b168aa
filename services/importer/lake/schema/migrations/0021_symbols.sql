-- The registry of symbols, for queries; the bucket SYMBOLS decides.
CREATE TABLE symbol_registry (
    symbol VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    enabled BOOLEAN NOT NULL,
    last_backfill TIMESTAMPTZ,
    last_snapshot TIMESTAMPTZ,
    last_stream TIMESTAMPTZ,
    error_message VARCHAR,
    description VARCHAR NOT NULL,
    metadata VARCHAR NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    changed_by VARCHAR,
    revision BIGINT NOT NULL
);

COMMENT ON TABLE symbol_registry IS 'One row a registered symbol, as it is now in the bucket SYMBOLS';
COMMENT ON COLUMN symbol_registry.symbol IS 'As the vendor writes it, case included';
COMMENT ON COLUMN symbol_registry.strategy IS 'Which phases it is brought in by: docs/chronox.md';
COMMENT ON COLUMN symbol_registry.status IS 'idle, running, error or disabled';
COMMENT ON COLUMN symbol_registry.enabled IS 'False exactly while the status is disabled';
COMMENT ON COLUMN symbol_registry.last_backfill IS 'When a backfill was last completed; NULL if none was';
COMMENT ON COLUMN symbol_registry.last_snapshot IS 'When a snapshot was last published; NULL if none was';
COMMENT ON COLUMN symbol_registry.last_stream IS 'When a streamed bar was last published; NULL if none was';
COMMENT ON COLUMN symbol_registry.error_message IS 'Why the last run failed; NULL in other statuses';
COMMENT ON COLUMN symbol_registry.description IS 'What clients say of it';
COMMENT ON COLUMN symbol_registry.metadata IS 'JSON text: what clients keep with it';
COMMENT ON COLUMN symbol_registry.created_at IS 'When it was registered';
COMMENT ON COLUMN symbol_registry.updated_at IS 'When it was last changed; never before created_at';
COMMENT ON COLUMN symbol_registry.changed_by IS
    'Who changed it last: a part of the hash of an API key, or an address; NULL for the nats command';
COMMENT ON COLUMN symbol_registry.revision IS 'Its revision in the bucket';
