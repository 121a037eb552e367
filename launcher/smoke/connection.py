"""One connection kept open for several requests, as the official clients do."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from launcher.smoke.clients.base import CheckLog, Deadline, TransportError, not_connected
from launcher.smoke.clients.wire import is_local

READ_SIZE = 65_536
ANSWER_LIMIT = 8 * 1024 * 1024
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Response:
    """One answer; `reused` says whether the connection had carried another before."""

    status: int
    kind: str
    body: bytes
    reused: bool

    @property
    def objects(self) -> list[Mapping[str, Any]]:
        """The JSON object of a plain answer, or those of a stream's events."""
        lines = [self.body]
        if "event-stream" in self.kind:
            lines = [x[5:] for x in self.body.splitlines() if x.startswith(b"data:")]
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [x for x in found if isinstance(x, dict)]


class Connection:
    """A client that closes its connection only where the server does."""

    def __init__(self, url: str, log: CheckLog) -> None:
        """For requests to `url`; nothing is sent yet."""
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._wire = kind(parts.hostname or "", parts.port)
        self._url, self._path, self._log = url, parts.path, log
        self.sent = 0

    def __enter__(self) -> Connection:
        """The connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._wire.close()

    def forget(self) -> None:
        """Close it; the next request opens another."""
        self._wire.close()
        self.sent = 0

    def post(self, body: Any, headers: Mapping[str, str], deadline: Deadline) -> Response:
        """Send one request and read its whole answer.

        Raises:
            TransportError: no connection, closed early, or not whole before the deadline.
        """
        sent = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        entry = self._log.transcript.begin(self._log.check, "http", "POST", self._url, sent, body)
        begun = time.monotonic()
        reused = self._wire.sock is not None
        try:
            self._wire.timeout = deadline.left
            if self._wire.sock is not None:
                self._wire.sock.settimeout(deadline.left)
            self._wire.request("POST", self._path, json.dumps(body).encode(), sent)
            answer = self._wire.getresponse()
            entry.status = answer.status
            data = bytearray()
            while piece := answer.read1(READ_SIZE):
                data += piece
                if time.monotonic() > deadline.end:
                    raise TransportError("timeout", "the answer had not ended in time")
                if len(data) > ANSWER_LIMIT:
                    raise TransportError("garbled", f"more than {ANSWER_LIMIT} bytes in one answer")
            if answer.length:
                raise TransportError("closed", f"{answer.length} bytes of the answer are missing")
            answer.close()
        except TransportError as error:
            entry.error = error.message
            raise
        except TimeoutError as error:
            entry.error = f"no whole answer for {time.monotonic() - begun:.1f} s"
            raise TransportError("timeout", entry.error) from error
        except ConnectionRefusedError as error:
            refused = not_connected(self._url, error)
            entry.error = refused.message
            raise refused from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            how = "on a connection that was kept open " if reused else ""
            entry.error = f"the connection broke {how}({type(error).__name__}: {error})"
            closed = isinstance(error, OSError)
            raise TransportError("closed" if closed else "garbled", entry.error) from error
        entry.response = bytes(data).decode("utf-8", "replace")
        entry.response_headers = dict(answer.getheaders())
        entry.seconds = time.monotonic() - begun
        self.sent += 1
        return Response(
            answer.status, (answer.getheader("content-type") or "").lower(), bytes(data), reused
        )


def behind_proxy(url: str) -> bool:
    """True where this user's requests to `url` go through a proxy, which keeps its own."""
    names = {n.lower() for n, v in os.environ.items() if v}
    return not is_local(url) and any(p in names for p in PROXIES)
