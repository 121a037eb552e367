"""An endpoint that a third party runs: known by its address, judged by what it promises."""

from launcher.engines.hosted.engine import ENGINE

__all__ = ["ENGINE"]
