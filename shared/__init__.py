"""What the services share: the bus, sources and vendor names, job states, paths, settings and logs."""
