"""Intake: takes requests over HTTP, turns them into jobs, and reports their state."""
