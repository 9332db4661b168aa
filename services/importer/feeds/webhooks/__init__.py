"""Payloads of webhooks, as rows of tables."""
