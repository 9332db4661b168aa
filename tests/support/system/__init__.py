"""Support for the system tests: the stack as processes and as containers."""
