"""Rows that arrive live: their tables, and the files by which queries read them."""
