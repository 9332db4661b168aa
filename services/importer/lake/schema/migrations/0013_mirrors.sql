-- What the broker holds of rules and sources, for queries. The bucket RULES and the stream SOURCES decide; only
-- the changes of rules, and sources that SOURCES has dropped, outlive them here.
CREATE TABLE priority_rules (
    rule_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    condition VARCHAR NOT NULL,
    priority_score DOUBLE NOT NULL,
    is_active BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    changed_by VARCHAR,
    revision BIGINT NOT NULL
);

CREATE TABLE priority_rule_changes (
    rule_id VARCHAR NOT NULL,
    revision BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    changed_by VARCHAR,
    operation VARCHAR NOT NULL,
    old_rule VARCHAR,
    new_rule VARCHAR
);

CREATE TABLE source_records (
    source_id VARCHAR NOT NULL,
    base_url VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    last_successful_fetch TIMESTAMPTZ,
    total_requests BIGINT NOT NULL,
    successful_requests BIGINT NOT NULL,
    mean_response_s DOUBLE,
    circuit_open_until TIMESTAMPTZ,
    deactivated_at TIMESTAMPTZ,
    deactivated_by VARCHAR,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE VIEW data_sources AS
SELECT
    source_id,
    base_url,
    name,
    successful_requests / nullif(total_requests, 0) AS reliability_score,
    last_successful_fetch,
    total_requests,
    successful_requests,
    to_microseconds((mean_response_s * 1e6)::BIGINT) AS average_response_time,
    deactivated_at IS NULL AND coalesce(circuit_open_until <= now(), true) AS is_active,
    deactivated_at,
    deactivated_by,
    updated_at
FROM source_records;

COMMENT ON TABLE priority_rules IS 'One row a priority rule, as it is now in the bucket RULES';
COMMENT ON COLUMN priority_rules.rule_id IS 'UUID of the rule: its key in the bucket';
COMMENT ON COLUMN priority_rules.name IS 'What people call it';
COMMENT ON COLUMN priority_rules.description IS 'Why there is such a rule';
COMMENT ON COLUMN priority_rules.condition IS 'Python expression over the facts of a request: docs/priorities.md';
COMMENT ON COLUMN priority_rules.priority_score IS 'Score of the requests that the condition holds for, 0 to 1';
COMMENT ON COLUMN priority_rules.is_active IS 'Whether the rule is applied';
COMMENT ON COLUMN priority_rules.created_at IS 'When it was created';
COMMENT ON COLUMN priority_rules.updated_at IS 'When the rule was last changed; never before created_at';
COMMENT ON COLUMN priority_rules.changed_by IS
    'Who changed it last: a part of the hash of an API key, an address, or gexlake; NULL for the nats command';
COMMENT ON COLUMN priority_rules.revision IS 'Its revision in the bucket';

COMMENT ON TABLE priority_rule_changes IS
    'One row a change of a priority rule; rows stay when the rule, its revisions or the bucket are gone';
COMMENT ON COLUMN priority_rule_changes.rule_id IS 'UUID of the rule';
COMMENT ON COLUMN priority_rule_changes.revision IS
    'The revision in the bucket; a bucket that is created again counts from 1';
COMMENT ON COLUMN priority_rule_changes.changed_at IS 'When the bucket took the change';
COMMENT ON COLUMN priority_rule_changes.changed_by IS 'Who made it, as in priority_rules';
COMMENT ON COLUMN priority_rule_changes.operation IS 'created, changed or deleted';
COMMENT ON COLUMN priority_rule_changes.old_rule IS
    'JSON text: the rule before; NULL if there was none, or if the bucket did not have it any more';
COMMENT ON COLUMN priority_rule_changes.new_rule IS 'JSON text: the rule after it; NULL if it was deleted';

COMMENT ON TABLE source_records IS 'One row a source of files, as its newest record in SOURCES; read data_sources';
COMMENT ON COLUMN source_records.source_id IS 'UUIDv5 of base_url';
COMMENT ON COLUMN source_records.base_url IS 'Scheme, host, and the port unless it is the default';
COMMENT ON COLUMN source_records.name IS 'Its host, or the name that a client has given it';
COMMENT ON COLUMN source_records.last_successful_fetch IS 'When it last delivered a file or a signed URL';
COMMENT ON COLUMN source_records.total_requests IS 'Requests to it; a resumed download counts once';
COMMENT ON COLUMN source_records.successful_requests IS 'Answers, also such as 404: the source was working';
COMMENT ON COLUMN source_records.mean_response_s IS 'Exponential mean of the time until it answered, seconds';
COMMENT ON COLUMN source_records.circuit_open_until IS 'Until when its circuit is open; NULL while it is closed';
COMMENT ON COLUMN source_records.deactivated_at IS 'When a client deactivated it; NULL if none did';
COMMENT ON COLUMN source_records.deactivated_by IS
    'Who deactivated it: a part of the hash of an API key, or an address';
COMMENT ON COLUMN source_records.updated_at IS 'When its record was last changed';
COMMENT ON VIEW data_sources IS 'One row a source of files, also those that SOURCES has dropped after 90 days';
COMMENT ON COLUMN data_sources.source_id IS 'UUIDv5 of base_url';
COMMENT ON COLUMN data_sources.base_url IS 'Scheme, host, and the port unless it is the default';
COMMENT ON COLUMN data_sources.name IS 'Its host, or the name that a client has given it';
COMMENT ON COLUMN data_sources.reliability_score IS 'successful_requests / total_requests; NULL without requests';
COMMENT ON COLUMN data_sources.last_successful_fetch IS 'When it last delivered a file or a signed URL';
COMMENT ON COLUMN data_sources.total_requests IS 'Requests to it; a resumed download counts once';
COMMENT ON COLUMN data_sources.successful_requests IS 'Answers, also such as 404: the source was working';
COMMENT ON COLUMN data_sources.average_response_time IS 'Exponential mean of the time until it answered';
COMMENT ON COLUMN data_sources.is_active IS 'False while it is deactivated, and while its circuit is open';
COMMENT ON COLUMN data_sources.deactivated_at IS 'When a client deactivated it; NULL if none did';
COMMENT ON COLUMN data_sources.deactivated_by IS 'Who deactivated it: a part of the hash of an API key, or an address';
COMMENT ON COLUMN data_sources.updated_at IS 'When its record was last changed';
