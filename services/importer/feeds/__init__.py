"""Live messages of FEED become rows: one batch, one transaction.

``messages`` decodes and checks them, ``merge`` makes one snapshot a key of them, ``webhooks`` recognizes what
they carry, ``chains`` writes option chains; ``columns`` hands rows to DuckDB, ``store`` writes a batch,
``service`` consumes FEED.
"""
