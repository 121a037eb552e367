"""Planted faults, each with the check that exists for it."""

from tests.smoke.defects import answers, load, messages, routes, sampling, streams, tools
from tests.smoke.defects.planting import DEFECTS

__all__ = ["DEFECTS", "answers", "load", "messages", "routes", "sampling", "streams", "tools"]
