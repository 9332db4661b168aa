"""What the services share: the bus, sources and vendor names, job states, paths, settings and logs."""

from gexlake import __version__

__all__ = ["__version__"]
