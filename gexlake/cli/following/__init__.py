"""Follow a job to its end (``--watch``) and say why it waits; follow live snapshots (``tail``)."""
