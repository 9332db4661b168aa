"""What the four services share: words, subjects, messages, the bus, paths, settings and logs."""

from gexlake import __version__

__all__ = ["__version__"]
