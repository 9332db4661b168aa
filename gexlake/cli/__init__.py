"""``gexlake``: post a history URL, follow its job, replay it, and ask the lake, from a terminal."""
