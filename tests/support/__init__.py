"""Helpers that all tests share: ports, waiting, processes, the command line, the engines."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout."""
