"""The profile's `smoke:` section: its rules, limits and custom checks."""
