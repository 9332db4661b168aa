"""Download a file into the staging folder."""
