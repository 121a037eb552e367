"""Comparison of targets: the same checks and tool calls, and the cost."""
