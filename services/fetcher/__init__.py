"""The fetcher: streams a source file to the staging folder and asks for its import."""
