"""The janitor: prunes staged files and has stranded jobs requeued; it never writes the lake."""
