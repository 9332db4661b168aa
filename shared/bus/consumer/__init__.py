"""Consume JOBS: pull commands by priority, count attempts, decide what becomes of each message."""
