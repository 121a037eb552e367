"""Fixtures."""

from tests.fastdeploy.conftest import twin_python
from tests.support.service_rig import shop

__all__ = ["shop", "twin_python"]
