"""The importer: turns staged files into partitions of the lake; the only service that opens DuckDB."""
