"""Planted faults, each with the check that exists for it."""

from tests.smoke.defects import (
    answers,
    belonging,
    ends,
    load,
    messages,
    routes,
    sampling,
    shapes,
    streams,
    tools,
    variants,
    vision,
)
from tests.smoke.defects.planting import DEFECTS

__all__ = [
    "DEFECTS",
    "answers",
    "belonging",
    "ends",
    "load",
    "messages",
    "routes",
    "sampling",
    "shapes",
    "streams",
    "tools",
    "variants",
    "vision",
]
