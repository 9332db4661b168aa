"""The reader: from the bytes of a staged file to Arrow."""
