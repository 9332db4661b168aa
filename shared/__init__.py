"""What the four services share: words, subjects, messages, the bus, paths, settings and logs."""

from importlib.metadata import version

__version__ = version("gexlake")
