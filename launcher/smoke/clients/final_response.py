"""The final response of a request that `http.client` reads: interim responses are skipped.

`http.client` skips `100 Continue` only, and without a limit; RFC 9110, 15.2 has a client read on
after every 1xx. `103 Early Hints` comes from proxies in front of model servers. 101 is final here:
after it the connection speaks another protocol.
"""

from __future__ import annotations

import http.client
from http import HTTPStatus

INTERIM_LIMIT = 100
"""Interim responses before the final one; more is a server out of control."""


class FinalResponse(http.client.HTTPResponse):
    """A response class for `http.client.HTTPConnection` and for what is built on it."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(INTERIM_LIMIT):
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            status = line[1]
            if not 100 <= status < 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return line
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {INTERIM_LIMIT} interim responses (1xx)")
