"""Tests: unit, integration and end to end, each mirroring the tree."""
