"""Does the server really work: the checks, one small function each, and their runner."""
