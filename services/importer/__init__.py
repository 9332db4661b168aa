"""The importer: imports staged files into the lake; the only service that opens DuckDB."""
