"""The duties' access to the broker, to intake and to the disk."""
