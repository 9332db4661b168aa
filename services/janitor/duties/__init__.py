"""The duties of the janitor, one module each: configuration, plan and run."""
