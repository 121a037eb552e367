"""Questions asked of a running server, and what the answers prove."""
