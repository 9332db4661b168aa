"""The HTTP routes of intake, one module a group."""
