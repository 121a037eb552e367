"""A `requests` session for one request: its connections are watched, no redirect is looked into."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool

from launcher.smoke.clients.guard import Guard, watching


class _Adapter(HTTPAdapter):
    """Makes connections that a guard watches, through a proxy, too."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> ConnectionPool:
        pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._watched(pool)

    def get_connection(  # requests before 2.32
        self, url: str | bytes, proxies: Mapping[str, str] | None = None
    ) -> ConnectionPool:
        return self._watched(super().get_connection(url, proxies))

    def _watched(self, pool: ConnectionPool) -> ConnectionPool:
        if isinstance(pool, HTTPConnectionPool) and issubclass(pool.ConnectionCls, HTTPConnection):
            pool.ConnectionCls = watching(pool.ConnectionCls, self._guard)
            return pool
        raise TypeError("connections of urllib3 cannot be watched: the deadline cannot be kept")


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
