"""Programs and files that the sections measure."""
