"""History files: requests for them, their commands, and replays."""
