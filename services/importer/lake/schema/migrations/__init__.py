"""Ordered schema migrations as SQL files; each is applied and recorded in one transaction."""
