"""Imports: a staged file becomes a partition, as a whole or not at all."""
