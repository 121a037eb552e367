"""A run of the suite: which checks, which clients, and the verdicts."""
