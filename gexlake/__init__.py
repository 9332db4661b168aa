"""What people install: the command line and the models of the HTTP API."""

__version__ = "0.1.0"
