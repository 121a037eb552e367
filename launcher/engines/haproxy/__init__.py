"""HAProxy, from 2.6 on: the front door of a service, run by a keeper. Not for users' profiles."""

from launcher.engines.haproxy.engine import ENGINE

__all__ = ["ENGINE"]
