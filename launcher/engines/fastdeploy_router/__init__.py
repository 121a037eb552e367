"""FastDeploy's router, run by a keeper in front of a group. Not for users' profiles."""

from launcher.engines.fastdeploy_router.engine import ENGINE

__all__ = ["ENGINE"]
