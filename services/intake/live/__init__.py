"""Live snapshots: what clients post to ``/gex``, as messages of FEED, and what those who follow them read."""
