"""``gexlake backfill``: ask for days, follow their jobs, show how they ended."""
