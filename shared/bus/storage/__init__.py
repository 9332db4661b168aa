"""Messages and files that streams and buckets hold, read and written by key."""
