"""What intake knows of the sources: how they are shown, measured and changed."""
