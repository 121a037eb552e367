"""The profile's `smoke:` section."""

from __future__ import annotations

from launcher.smoke.check import Check
from launcher.smoke.target import Target


def custom_checks(target: Target) -> list[Check]:
    """The checks that the profile adds."""
    return []
