"""How gexlake is run: the server's configuration, and the checks before a start."""
