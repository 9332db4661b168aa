"""The interface of requests: their priorities, rules and the queue."""
