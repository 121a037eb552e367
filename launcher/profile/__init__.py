"""Reads a profile: schema, overlays, variables, and where every value came from."""
