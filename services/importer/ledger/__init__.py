"""The ledger: one row for each job, written from EVENTS."""
