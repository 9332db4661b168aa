"""Measure promises under load: a flood of LOW jobs, with more urgent requests in it; see ``__main__``."""
