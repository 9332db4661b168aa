"""The routes of jobs: history, backfills, requests, priorities and sources."""
