"""The HTTP routes of intake, and what they share."""
