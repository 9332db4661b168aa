"""Massive (formerly Polygon.io): REST, flat files and the websocket of minute bars."""
