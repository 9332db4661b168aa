"""Questions to the other services over NATS: the lake of the importer, the schedule of the janitor."""
