"""The words of Massive (formerly Polygon.io): symbols, minute bars, sessions, flat files."""
