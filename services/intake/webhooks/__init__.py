"""Webhooks: what clients post to ``/uw``, as messages of FEED."""
