"""Commands about priorities: rules, the queue, the promises kept."""
