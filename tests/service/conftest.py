"""Fixtures."""

from tests.support.service_rig import shop

__all__ = ["shop"]
