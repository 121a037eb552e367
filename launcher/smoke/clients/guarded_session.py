"""A `requests` session for one request: its connections are watched, no redirect is looked into."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from launcher.smoke.clients.guard import Guard, watching


class _Adapter(HTTPAdapter):
    """Makes connections that a guard watches, through a proxy, too."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        return self._watched(super().get_connection_with_tls_context(*args, **kwargs))

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:  # requests before 2.32
        return self._watched(super().get_connection(*args, **kwargs))

    def _watched(self, pool: Any) -> Any:
        pool.ConnectionCls = watching(pool.ConnectionCls, self._guard)
        return pool


class _Session(requests.Session):
    """Reads nothing of a redirect: `requests` would read its whole body to find the next one."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def guarded_session(guard: Guard) -> requests.Session:
    """A session whose every connection `guard` watches."""
    session = _Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(guard))
    return session
