"""The messages of FEED and CHRONOX, which are data, and publishing them in batches."""
