"""FastDeploy, the engine this product is for: releases 2.0 to 2.4."""

from launcher.engines.fastdeploy.engine import ENGINE

__all__ = ["ENGINE"]
