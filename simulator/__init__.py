"""Generated trading days, fakes of the vendor, the system as processes, and the demo."""
