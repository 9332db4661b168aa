"""Support for the command line's tests: a fake intake."""
