"""Minute bars in the lake, asked of the importer, and the fills of their gaps."""
