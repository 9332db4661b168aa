"""The routes of live data: payloads, webhooks, chains and streams."""
