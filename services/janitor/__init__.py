"""The janitor: keeps the lake tidy and its jobs moving; it asks, and never writes the lake itself."""
