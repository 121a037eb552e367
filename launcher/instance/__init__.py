"""Started plans on disk: the directory, its lock, and the verbs that act on it."""
