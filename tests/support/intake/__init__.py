"""Support for intake's tests: a running intake and a fake importer."""
