"""Compare the database with the Parquet files, and rebuild what was lost."""
