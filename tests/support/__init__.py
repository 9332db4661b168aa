"""Servers, stacks and values that the tests share."""
