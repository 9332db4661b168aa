"""Measure processes, and render the figures as tables."""
