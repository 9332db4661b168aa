"""Measure live payloads under load: ``make bench-live``."""
