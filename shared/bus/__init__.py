"""The bus on NATS JetStream: connection, streams, subjects, messages, the consumer and the follower."""
