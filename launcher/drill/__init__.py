"""Drills: faults on purpose on a running instance, measured against bars, and undone."""
