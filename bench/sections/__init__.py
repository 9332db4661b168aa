"""The sections of the benchmark report, one module each."""
