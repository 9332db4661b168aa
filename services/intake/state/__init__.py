"""What intake knows of jobs, sources and services, and how it is reported."""
