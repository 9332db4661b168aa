"""Tables that follow what the broker holds of rules, sources and symbols."""
