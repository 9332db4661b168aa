"""The duties, one per file."""
