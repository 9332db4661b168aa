"""Queries: read-only SQL, ledger, coverage and days over NATS."""
