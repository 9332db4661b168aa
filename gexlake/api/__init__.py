"""The models of HTTP requests and responses, and of questions over NATS: one definition for both ends."""
