"""``--watch``: follow a job to its end, and say why it waits."""
