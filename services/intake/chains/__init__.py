"""Snapshots of option chains: what clients post to ``/api/v1/snapshots``, as messages of FEED."""
