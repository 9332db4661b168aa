"""Live snapshots: what clients post to ``/gex``, as messages of FEED."""
