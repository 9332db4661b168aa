"""What services report of themselves, without storage."""
