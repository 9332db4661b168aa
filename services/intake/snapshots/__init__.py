"""Stored snapshots by a range of time: what is asked, as SQL for the importer, and its rows as a page."""
