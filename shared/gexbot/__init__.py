"""The vendor's terms: tickers, endpoints, trading days, file names and API URLs."""
