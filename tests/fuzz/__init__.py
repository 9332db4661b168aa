"""Coverage-guided fuzzing of the importer against the oracle; ``make fuzz`` runs it."""
