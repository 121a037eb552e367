"""Fixtures."""

from tests.support.rig import rig
from tests.support.service_rig import shop

__all__ = ["rig", "shop"]
