"""Support for tests of the fetcher."""
