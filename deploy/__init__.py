"""How gexlake is run: the configuration of the broker, the checks before a start, and releases."""
