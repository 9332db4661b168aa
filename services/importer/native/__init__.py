"""The reader in C: a staged file's records as an Arrow stream, and how it is compiled."""
