"""The fetcher: streams a source file to the staging folder and requests its import."""
