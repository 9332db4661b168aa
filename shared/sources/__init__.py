"""Which source URLs are allowed, and the health record of a source."""
