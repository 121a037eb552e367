"""Fixtures."""

from tests.fastdeploy.conftest import twin_python

__all__ = ["twin_python"]
