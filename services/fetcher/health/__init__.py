"""Health records and circuit breakers of sources."""
