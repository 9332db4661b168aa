"""Imports: a staged file becomes a partition, as a whole or not at all.

``replace`` makes an import durable, ``recovery`` completes what a killed importer left.
"""
