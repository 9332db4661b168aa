"""The lake: the DuckDB file, its schema, and the Parquet files."""
