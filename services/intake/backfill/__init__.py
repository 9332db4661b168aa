"""Backfills: which trading days to queue, and queueing them."""
