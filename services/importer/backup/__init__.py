"""The importer's part of a backup: a copy of the database, and links to the Parquet files of that moment."""
