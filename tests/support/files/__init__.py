"""Generated history files, corrupt ones, and the oracles that imports are compared with."""
