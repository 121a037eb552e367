"""The one process that owns an instance: starts the engine, watches it, stops it."""
