"""The HTTP server, and its limits on connections."""
