"""Services: replicas of a profile behind one front door, changed without losing a request."""
