"""Sources: ``gate`` decides which URLs are allowed, ``addresses`` which IP addresses; ``record`` is health.

Intake checks a posted URL with the gate; the fetcher checks it again, and every redirect.
"""
