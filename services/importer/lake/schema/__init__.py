"""The schema of the database: migrations and views."""
