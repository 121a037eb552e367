"""One connection kept open for several requests, as the official clients do."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from launcher.json_values import JsonObject, JsonValue
from launcher.probe.bounded_json import loads
from launcher.probe.decoding import decoded
from launcher.smoke.clients.base import CheckLog, Deadline, TransportError, not_connected
from launcher.smoke.clients.events import EventReader
from launcher.smoke.clients.final_response import FinalResponse
from launcher.smoke.clients.guard import Guard
from launcher.smoke.clients.transcript import Exchange
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
    def objects(self) -> list[JsonObject]:
        """The JSON object of a plain answer, or those of a stream's events."""
        lines = [self.body]
        if "event-stream" in self.kind:
            try:
                lines = EventReader().feed(self.body + b"\n\n")
            except ValueError:  # beyond a bound: no event of it is believed
                return []
        values: list[JsonValue] = []
        for line in lines:
            try:
                values.append(loads(line, strict=False))
            except ValueError:
                continue
        return [one for one in values if isinstance(one, Mapping)]


class Connection:
    """A client that closes its connection only where the server does."""

    def __init__(self, url: str, log: CheckLog) -> None:
        """For requests to `url`; nothing is sent yet."""
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._wire = kind(parts.hostname or "", parts.port)
        self._wire.response_class = FinalResponse
        self._url, self._path, self._log = url, parts.path, log
        self.sent = 0
        self._guard: Guard | None = None
        self._wire._create_connection = self._connect  # type: ignore[attr-defined]

    def _connect(
        self, address: tuple[str, int], timeout: float, source: tuple[str, int] | None = None
    ) -> socket.socket:
        sock = socket.create_connection(address, timeout, source)
        if self._guard is not None:
            self._guard.watch(sock)
        return sock

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

    def post(self, body: JsonValue, headers: Mapping[str, str], deadline: Deadline) -> Response:
        """Send one request and read its whole answer.

        Raises:
            TransportError: no connection, closed early, or not whole before the deadline.
        """
        sent = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        entry = self._log.transcript.begin(self._log.check, "http", "POST", self._url, sent, body)
        with Guard(deadline.end) as guard:
            return self._posted(body, sent, deadline, entry, guard)

    def _posted(
        self,
        body: JsonValue,
        sent: Mapping[str, str],
        deadline: Deadline,
        entry: Exchange,
        guard: Guard,
    ) -> Response:
        begun = time.monotonic()
        reused = self._wire.sock is not None
        self._guard = guard
        try:
            self._wire.timeout = deadline.left
            if self._wire.sock is not None:
                self._wire.sock.settimeout(deadline.left)
                guard.watch(self._wire.sock)
            self._wire.request("POST", self._path, json.dumps(body).encode(), sent)
            answer = self._wire.getresponse()
            entry.status = answer.status
            encoding = answer.getheader("content-encoding") or ""
            data = b"".join(decoded(_pieces(answer, deadline), encoding, ANSWER_LIMIT))
            if guard.expired:
                raise TimeoutError
            if answer.length:
                raise TransportError("closed", f"{answer.length} bytes of the answer are missing")
            answer.close()
        except TransportError as error:
            entry.error = error.message
            raise
        except TimeoutError as error:
            raise _late(entry, begun) from error
        except ConnectionRefusedError as error:
            refused = not_connected(self._url, error)
            entry.error = refused.message
            raise refused from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if guard.expired:
                raise _late(entry, begun) from error
            how = "on a connection that was kept open " if reused else ""
            entry.error = f"the connection broke {how}({type(error).__name__}: {str(error)[:300]})"
            closed = isinstance(error, OSError)
            raise TransportError("closed" if closed else "garbled", entry.error) from error
        self._log.transcript.answered(entry, data)
        entry.response_headers = dict(answer.getheaders())
        entry.seconds = time.monotonic() - begun
        self.sent += 1
        return Response(
            answer.status, (answer.getheader("content-type") or "").lower(), data, reused
        )


def _pieces(answer: http.client.HTTPResponse, deadline: Deadline) -> Iterator[bytes]:
    while piece := answer.read1(READ_SIZE):
        yield piece
        if time.monotonic() > deadline.end:
            raise TimeoutError


def _late(entry: Exchange, begun: float) -> TransportError:
    entry.error = f"no whole answer for {time.monotonic() - begun:.1f} s"
    return TransportError("timeout", entry.error)


def behind_proxy(url: str) -> bool:
    """True where this user's requests to `url` go through a proxy, which keeps its own."""
    names = {n.lower() for n, v in os.environ.items() if v}
    return not is_local(url) and any(p in names for p in PROXIES)
