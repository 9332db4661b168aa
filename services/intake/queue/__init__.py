"""The queue as clients see it: positions, estimates, promises, and views of jobs."""
