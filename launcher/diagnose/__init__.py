"""Finds the first cause in an instance's logs and names the rule that knows it."""
