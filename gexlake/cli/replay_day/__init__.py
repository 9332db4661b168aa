"""``gexlake replay-day``: read a stored day, and post it again at its own pace, with faults if asked for."""
