"""The models of HTTP requests and responses, and of requests over NATS; services and clients share them."""
