"""What the routes of intake share: keys, limits, bodies, errors, and the guard against web pages."""
