"""HTTP by `requests`, bounded in time: one request, its bytes, and server-sent events.

A timeout of `requests` bounds one read, not the answer; every loop here looks at the deadline
between reads, and the runner gives up on a check whose server feeds it a byte at a time.
`requests` is imported with the first request: `validate` reads the checks' names and sends none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from launcher.smoke.clients.base import (
    CheckLog,
    Deadline,
    TransportError,
    innermost,
    not_connected,
)
from launcher.smoke.transcript import Exchange

if TYPE_CHECKING:
    import requests

READ_SIZE = 65_536
CONNECT_SECONDS = 10.0
BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that are read; more is a server out of control."""


@dataclass(frozen=True)
class Reply:
    """A whole HTTP answer; `headers` keys are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    exchange: int

    @property
    def text(self) -> str:
        """The body as text, undecodable bytes replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class EventStream:
    """A stream after it ended: events with their time, and what was wrong with the wire."""

    status: int
    headers: Mapping[str, str]
    events: list[tuple[float, str]] = field(default_factory=list)
    trailing: bytes = b""
    undecodable: bool = False
    body: bytes = b""
    seconds: float = 0.0
    exchange: int = 0


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Any,
    deadline: Deadline,
    log: CheckLog,
    client: str = "http",
) -> Reply:
    """Send one request and read the whole answer. `body`: JSON value, or bytes sent as they are.

    Raises:
        TransportError: refused, closed early, or not whole before the deadline.
    """
    stream, entry, begun = _open(method, url, headers, body, deadline, log, client)
    with stream:
        data = b"".join(_guarded(_pieces(stream), deadline, entry, begun))
    entry.response = data.decode("utf-8", "replace")
    entry.seconds = time.monotonic() - begun
    return Reply(stream.status_code, _lower(stream.headers), data, entry.seconds, entry.number)


def listen(
    url: str,
    *,
    headers: Mapping[str, str],
    body: Any,
    deadline: Deadline,
    log: CheckLog,
    client: str = "http",
    stop_after: int | None = None,
) -> EventStream:
    """Send a request and collect the events of its answer, each with its time.

    `stop_after`: hang up after so many events, as a client that goes away.

    Raises:
        TransportError: refused, closed early, silent for too long or not ended in time.
    """
    stream, entry, begun = _open("POST", url, headers, body, deadline, log, client)
    result = EventStream(stream.status_code, _lower(stream.headers), exchange=entry.number)
    plain = "text/event-stream" not in result.headers.get("content-type", "")
    rest = bytearray()
    entry.events = result.events
    with stream:
        for piece in _guarded(_pieces(stream), deadline, entry, begun):
            rest += piece
            # Only what has just come can hold a line's end; long events come in many pieces.
            if plain or b"\n" not in piece:
                continue
            *whole, last = _normal(bytes(rest)).split(b"\n\n")
            rest = bytearray(last)
            # What was read at once came at once, however long it takes to look at it.
            at = time.monotonic() - begun
            for block in whole:
                _take(block, result, at)
            if stop_after is not None and len(result.events) >= stop_after:
                break
    result.body, result.trailing = (bytes(rest), b"") if plain else (b"", bytes(rest).strip())
    entry.response = result.body.decode("utf-8", "replace") if plain else None
    result.seconds = entry.seconds = time.monotonic() - begun
    return result


def _take(block: bytes, result: EventStream, at: float) -> None:
    lines = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
    if not lines:
        return
    data = b"\n".join(lines)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        result.undecodable = True
        text = data.decode("utf-8", "replace")
    result.events.append((at, text))


def _normal(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _open(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any,
    deadline: Deadline,
    log: CheckLog,
    client: str,
) -> tuple[requests.Response, Exchange, float]:
    import requests
    import urllib3

    sent = {"Accept": "*/*", **headers}
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    entry = log.transcript.begin(log.check, client, method, url, sent, body)
    begun = time.monotonic()
    try:
        session = requests.Session()
        # A proxy or a .netrc of the user's environment must not come between us and the server.
        session.trust_env = not is_local(url)
        stream = session.request(
            method,
            url,
            headers=sent,
            data=data,
            stream=True,
            timeout=(min(CONNECT_SECONDS, deadline.left), deadline.read),
            allow_redirects=False,
        )
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _transport(error, entry, begun) from error
    entry.status = stream.status_code
    entry.response_headers = dict(stream.headers)
    if stream.is_redirect:
        # Followed, a POST would become a GET, and a key would go to who knows whom.
        entry.error = f"HTTP {stream.status_code} sends to {stream.headers['location']}: ask there"
        entry.seconds = time.monotonic() - begun
        stream.close()
        raise TransportError("redirected", entry.error)
    return stream, entry, begun


def is_local(url: str) -> bool:
    """True for an address on this machine, to which no proxy leads."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")  # noqa: S104


def _pieces(stream: requests.Response) -> Iterator[bytes]:
    """Bytes as they arrive; `iter_content` waits for full blocks where there are no HTTP chunks."""
    raw = stream.raw
    while True:
        piece = raw.read1(READ_SIZE)
        if not piece:
            return
        yield piece


def _guarded(
    pieces: Iterator[bytes],
    deadline: Deadline,
    entry: Exchange,
    begun: float,
) -> Iterator[bytes]:
    import requests
    import urllib3

    total = 0
    try:
        for piece in pieces:
            total += len(piece)
            yield piece
            if total > BODY_LIMIT:
                raise TransportError("garbled", f"more than {BODY_LIMIT} bytes in one answer")
            if time.monotonic() > deadline.end:
                raise TransportError(
                    "timeout",
                    f"the answer had not ended after {time.monotonic() - begun:.1f} s",
                )
    except TransportError as error:
        entry.error, entry.seconds = error.message, time.monotonic() - begun
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _transport(error, entry, begun) from error


def _transport(error: Exception, entry: Exchange, begun: float) -> TransportError:
    import requests
    import urllib3

    seconds = time.monotonic() - begun
    text = str(error)
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        kind = "timeout" if entry.status is None else "stalled"
        said = "no answer" if entry.status is None else "the answer began and then nothing came"
        message = f"{said} for {seconds:.1f} s"
    elif isinstance(error, requests.ConnectTimeout):
        late = TimeoutError(f"no connection within {seconds:.1f} s")
        kind, message = "refused", not_connected(entry.url, late).message
    elif "refused" in text or "NewConnectionError" in text or "NameResolution" in text:
        between = "by the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
        kind, message = "refused", not_connected(entry.url, error, between).message
    else:
        kind, message = "closed", f"the connection broke: {_cause(error)}"
    entry.error, entry.seconds = message, seconds
    return TransportError(kind, message)


def _cause(error: BaseException) -> str:
    reason = innermost(error)
    return f"{type(reason).__name__}: {reason}"
