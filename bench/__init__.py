"""Benchmarks of importer, fetcher and the whole system: ``make bench``."""
