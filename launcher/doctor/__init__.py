"""Checks over profile, plan and host: PASS, WARN, FAIL or UNKNOWN, each with its remedy."""
