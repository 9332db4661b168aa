"""Tables that follow what the broker holds of rules and sources."""
