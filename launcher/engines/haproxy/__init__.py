"""HAProxy, the front door of a service: run by a keeper as an engine is; no profile names it."""

from launcher.engines.haproxy.engine import ENGINE

__all__ = ["ENGINE"]
