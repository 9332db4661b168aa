"""Intake: takes requests over HTTP, turns them into jobs, and tells how the jobs are doing."""
