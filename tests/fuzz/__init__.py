"""Fuzzing of the importer against the oracle, and of its compiled reader; ``make fuzz`` runs it."""
