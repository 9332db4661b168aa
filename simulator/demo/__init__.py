"""The whole system on generated data, from a request to Parquet: ``make demo``, ``make demo-chronox``."""
