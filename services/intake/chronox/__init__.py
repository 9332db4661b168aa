"""Runs of registered symbols through their phases: backfill, snapshot, stream."""
