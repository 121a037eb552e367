"""HTTP by `requests`, bounded in time and size: one request, its bytes, and server-sent events.

A guard ends the connection at the deadline, whatever the server sends until then. No redirect is
followed. `requests` is imported with the first request: `validate` reads the checks' names and
sends none.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.json_values import JsonValue
from launcher.probe.bounded_json import loads
from launcher.probe.decoding import decoded
from launcher.smoke.clients.base import (
    CheckLog,
    Deadline,
    TransportError,
    innermost,
    not_connected,
)
from launcher.smoke.clients.events import EventReader
from launcher.smoke.clients.guard import Guard
from launcher.smoke.clients.transcript import Exchange

if TYPE_CHECKING:
    import requests

READ_SIZE = 65_536
CONNECT_SECONDS = 10.0
BODY_LIMIT = 16 << 20
"""Bytes of an answer that are read, compressed or not; more is a server out of control."""
EXCERPT_LENGTH = 300
"""Characters of an error of the HTTP library: it may quote what the server sent."""


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

    def json(self) -> JsonValue:
        """The body as JSON, or None where it is none."""
        try:
            value: JsonValue = loads(self.body, strict=False)
        except ValueError:
            return None
        return value


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
    body: JsonValue | bytes,
    deadline: Deadline,
    log: CheckLog,
    client: str = "http",
) -> Reply:
    """Send one request and read the whole answer. `body`: JSON value, or bytes sent as they are.

    Raises:
        TransportError: refused, closed early, not whole before the deadline, or not HTTP.
    """
    with _exchange(method, url, headers, body, deadline, log, client) as (stream, entry, begun):
        encoding = stream.headers.get("content-encoding", "")
        data = b"".join(decoded(_pieces(stream, deadline), encoding, BODY_LIMIT))
        lower = _lower(stream.headers)
    log.transcript.answered(entry, data)
    entry.seconds = time.monotonic() - begun
    return Reply(stream.status_code, lower, data, entry.seconds, entry.number)


def listen(
    url: str,
    *,
    headers: Mapping[str, str],
    body: JsonValue | bytes,
    deadline: Deadline,
    log: CheckLog,
    client: str = "http",
    stop_after: int | None = None,
) -> EventStream:
    """Send a request and collect the events of its answer, each with its time.

    `stop_after`: hang up after so many events, as a client that goes away.

    Raises:
        TransportError: refused, closed early, silent for too long, not ended in time, or not HTTP.
    """
    with _exchange("POST", url, headers, body, deadline, log, client) as (stream, entry, begun):
        result = EventStream(stream.status_code, _lower(stream.headers), exchange=entry.number)
        plain = "text/event-stream" not in result.headers.get("content-type", "").lower()
        entry.events = result.events
        reader, rest = EventReader(), bytearray()
        encoding = result.headers.get("content-encoding", "")
        for piece in decoded(_pieces(stream, deadline), encoding, BODY_LIMIT):
            if plain:
                rest += piece
                continue
            # What was read at once came at once, however long it takes to look at it.
            at = time.monotonic() - begun
            for data in reader.feed(piece):
                _take(data, result, at)
            if time.monotonic() > deadline.end:
                raise TimeoutError
            if stop_after is not None and len(result.events) >= stop_after:
                break
    result.body, result.trailing = bytes(rest), reader.trailing
    if plain:
        log.transcript.answered(entry, result.body)
    result.seconds = entry.seconds = time.monotonic() - begun
    return result


def _take(data: bytes, result: EventStream, at: float) -> None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        result.undecodable = True
        text = data.decode("utf-8", "replace")
    result.events.append((at, text))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def _exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: JsonValue | bytes,
    deadline: Deadline,
    log: CheckLog,
    client: str,
) -> Iterator[tuple[requests.Response, Exchange, float]]:
    """An answer whose head has come; whatever breaks until it is read is a TransportError."""
    import requests
    import urllib3

    from launcher.smoke.clients.guarded_session import guarded_session

    # Compressed events are timed wrongly; what is compressed anyway is decoded here.
    sent = {"Accept": "*/*", "Accept-Encoding": "identity", **headers}
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    entry = log.transcript.begin(log.check, client, method, url, sent, body)
    begun = time.monotonic()
    with Guard(deadline.end) as guard, guarded_session(guard) as session:
        # A proxy or a .netrc of the user's environment must not come between us and the server.
        session.trust_env = not is_local(url)
        try:
            with session.request(
                method,
                url,
                headers=sent,
                data=data,
                stream=True,
                timeout=(min(CONNECT_SECONDS, deadline.left), deadline.read),
                allow_redirects=False,
            ) as stream:
                entry.status = stream.status_code
                entry.headers = dict(stream.request.headers)
                entry.response_headers = dict(stream.headers)
                refuse_redirect(stream.status_code, stream.headers.get("location"))
                yield stream, entry, begun
            if guard.expired:
                # The end that we made looks like the server's where the body has no length.
                raise TimeoutError
        except TransportError as error:
            entry.error, entry.seconds = error.message, time.monotonic() - begun
            raise
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,  # a bound of ours, or one of the many shapes of "this is not HTTP"
        ) as error:
            raise _transport(error, entry, begun, expired=guard.expired) from error


def refuse_redirect(status: int, location: str | None) -> None:
    """Stop at a redirect: followed, a POST would become a GET, and the key would go elsewhere.

    Raises:
        TransportError: it is one.
    """
    if status in (301, 302, 303, 307, 308) and location is not None:
        raise TransportError(
            "redirected", f"HTTP {status} sends to {location[:EXCERPT_LENGTH]}: ask there"
        )


def is_local(url: str) -> bool:
    """True for an address on this machine, to which no proxy leads."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")  # noqa: S104


def _pieces(stream: requests.Response, deadline: Deadline) -> Iterator[bytes]:
    """Bytes as they arrive; `iter_content` waits for full blocks without HTTP chunks."""
    raw = stream.raw
    while piece := raw.read1(READ_SIZE):
        yield piece
        if time.monotonic() > deadline.end:
            raise TimeoutError


def _transport(error: Exception, entry: Exchange, begun: float, *, expired: bool) -> TransportError:
    import requests
    import urllib3

    seconds = time.monotonic() - begun
    text = str(error)
    silent = (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)
    if expired or type(error) is TimeoutError:
        what = "the answer" if entry.status is not None else "the answer's headers"
        kind, message = "timeout", f"{what} had not ended after {seconds:.1f} s"
    elif isinstance(error, silent):
        kind = "timeout" if entry.status is None else "stalled"
        reason = "no answer" if entry.status is None else "the answer began and then nothing came"
        message = f"{reason} for {seconds:.1f} s"
    elif isinstance(error, requests.ConnectTimeout):
        late = TimeoutError(f"no connection within {seconds:.1f} s")
        kind, message = "refused", not_connected(entry.url, late).message
    elif "refused" in text or "NewConnectionError" in text or "NameResolution" in text:
        between = "by the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
        kind, message = "refused", not_connected(entry.url, error, between).message
    elif isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        kind, message = "garbled", f"the answer cannot be read: {_short(text)}"
    else:
        kind, message = "closed", f"the connection broke: {_cause(error)}"
    entry.error, entry.seconds = message, seconds
    return TransportError(kind, message)


def _cause(error: BaseException) -> str:
    reason = innermost(error)
    return f"{type(reason).__name__}: {_short(str(reason))}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT_LENGTH else f"{text[:EXCERPT_LENGTH]}..."
