"""Jobs in virtual time: ``consumer`` delivers as JetStream does, ``simulation`` runs both stages."""
