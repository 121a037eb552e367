"""What both official clients need: their HTTP client within our bounds, and their errors as ours.

Both are built on httpx (or its successor), whose time-outs bound one wait for the socket and whose
readers have no limit. Hooks of the HTTP client give every connection to a guard, decode the body
within a bound and count its events before the SDK collects them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from launcher.probe.bounded_json import loads
from launcher.probe.decoding import decoded
from launcher.smoke.answers.answer import Answer, Chunk
from launcher.smoke.clients.base import Deadline, TransportError, not_connected
from launcher.smoke.clients.events import EventReader
from launcher.smoke.clients.guard import Guard
from launcher.smoke.clients.transcript import Exchange, Transcript
from launcher.smoke.clients.wire import BODY_LIMIT, EXCERPT_LENGTH, is_local, refuse_redirect

NO_KEY = "none"
"""The clients want a key even where the server has none."""
IDENTITY = {"Accept-Encoding": "identity"}


class GarbledError(Exception):
    """An answer beyond a bound; no ValueError, which an SDK may take for its own."""


def http_client(maker: Any, url: str, guard: Guard, entry: Exchange) -> Any:
    """The SDK's own kind of HTTP client (`maker`), whose connections `guard` watches."""

    def trace(name: str, info: Mapping[str, Any]) -> None:
        if name in ("connection.connect_tcp.complete", "connect_tcp.complete"):
            guard.watch(info["return_value"].get_extra_info("socket"))

    def on_request(request: Any) -> None:
        request.extensions = {**request.extensions, "trace": trace}
        entry.headers = dict(request.headers)

    def on_response(response: Any) -> None:
        entry.status = response.status_code
        entry.response_headers = dict(response.headers)
        refuse_redirect(response.status_code, response.headers.get("location"))
        encoding = response.headers.pop("content-encoding", "")
        events = "text/event-stream" in response.headers.get("content-type", "").lower()
        response.stream = _bounded(response.stream, encoding, events)

    return maker(
        trust_env=not is_local(url),
        follow_redirects=False,
        event_hooks={"request": [on_request], "response": [on_response]},
    )


@contextmanager
def asking(
    sdk: Any, deadline: Deadline, entry: Exchange, transcript: Transcript
) -> Iterator[tuple[Guard, float]]:
    """A guard, and the moment of sending; errors of the SDK `sdk` become ours.

    Raises:
        TransportError: no whole answer came in time, or the SDK cannot read it.
    """
    begun = time.monotonic()
    with Guard(deadline.end) as guard:
        try:
            yield guard, begun
            if guard.expired:
                raise _late(begun)
        except TransportError as error:
            cause = error
        except sdk.APIError as error:
            own = _within(error, (TransportError, GarbledError))
            if guard.expired:
                cause = _late(begun)
            elif isinstance(own, TransportError):
                cause = own
            elif own is not None:
                cause = TransportError("garbled", f"the answer cannot be read: {own}")
            else:
                cause = broken(error, entry, begun)
        except GarbledError as error:
            cause = TransportError("garbled", f"the answer cannot be read: {error}")
        except UnicodeEncodeError as error:
            message = (
                "a text of the server's holds half of a surrogate pair: it cannot be sent back"
            )
            cause = TransportError("garbled", f"{message} ({error.reason})")
        except Exception as error:
            # An SDK that meets what its authors did not think of raises anything: KeyError,
            # RecursionError, errors of the HTTP library. The user's program ends there, too.
            message = " ".join(f"{type(error).__name__}: {error}".split())[:EXCERPT_LENGTH]
            late = guard.expired or time.monotonic() > deadline.end
            cause = (
                _late(begun)
                if late
                else TransportError("garbled", f"the client cannot read the answer: {message}")
            )
        else:
            return
    entry.error, entry.seconds = cause.message, time.monotonic() - begun
    raise cause


def kept(response: Any, transcript: Transcript, entry: Exchange, begun: float) -> dict[str, Any]:
    """The JSON object of an SDK's whole answer; what the SDK read is held to our bounds, too."""
    seconds = time.monotonic() - begun
    raw = response.model_dump(exclude_unset=True, warnings=False)
    text = json.dumps(raw)
    try:
        loads(text)
    except ValueError as error:
        raise GarbledError(str(error)) from None
    transcript.answered(entry, json.dumps(raw, ensure_ascii=False).encode(errors="replace"))
    entry.seconds = seconds
    return dict(raw)


def timed(stream: Any, deadline: Deadline, entry: Exchange, begun: float) -> Iterator[Chunk]:
    """The chunks of an SDK's stream with their time.

    Raises:
        TransportError: the deadline passed, or an event the SDK cannot read.
    """
    try:
        for item in stream:
            at = time.monotonic() - begun
            raw = item.model_dump(exclude_unset=True, warnings=False)
            text = json.dumps(raw, ensure_ascii=False)
            loads(text)
            entry.events.append((at, text))
            yield Chunk(at, raw)
            if time.monotonic() > deadline.end:
                raise _late(begun)
    except (ValueError, TypeError, AttributeError) as error:
        raise TransportError("garbled", f"the client cannot read the stream: {error}") from error


def refused(error: Any, transcript: Transcript, entry: Exchange, begun: float) -> Answer:
    """The answer that an SDK's status error stands for."""
    seconds = time.monotonic() - begun
    entry.status, entry.seconds = error.status_code, seconds
    transcript.answered(entry, error.response.content)
    raw = error.body if isinstance(error.body, dict) else {"error": error.body or error.message}
    return Answer(error.status_code, seconds, error=str(error.message)[:4000], raw=raw)


def broken(error: Any, entry: Exchange, begun: float) -> TransportError:
    """The transport error that an SDK's other errors stand for."""
    seconds = time.monotonic() - begun
    cause = error.__cause__
    message = " ".join(f"{type(error).__name__}: {cause or error}".split())[:EXCERPT_LENGTH]
    kind = "closed"
    if "Timeout" in type(error).__name__ or "Timeout" in type(cause).__name__:
        kind, message = "timeout", f"no whole answer for {seconds:.1f} s"
    elif "Connection refused" in message or "ConnectError" in type(cause).__name__:
        kind, message = "refused", not_connected(entry.url, error).message
    return TransportError(kind, message)


def _late(begun: float) -> TransportError:
    seconds = time.monotonic() - begun
    return TransportError("timeout", f"the answer had not ended after {seconds:.1f} s")


def _within(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """The first of `kinds` among an error's causes."""
    current: BaseException | None = error
    for _ in range(20):
        if current is None or isinstance(current, kinds):
            return current
        current = current.__cause__ or current.__context__
    return None


def _bounded(stream: Any, encoding: str, events: bool) -> Any:
    """The stream of a response of httpx, decoded and within our bounds."""
    return _stream_class(type(stream))(stream, encoding, events)


def _stream_class(kind: type[Any]) -> Any:
    """A stream class of the library that `kind` is from: httpx looks at the base class."""
    base = next(c for c in kind.__mro__ if c.__name__ == "SyncByteStream")

    def start(self: Any, stream: Any, encoding: str, events: bool) -> None:
        self.inner, self.encoding, self.events = stream, encoding, events

    def read(self: Any) -> Iterator[bytes]:
        reader = EventReader() if self.events else None
        try:
            for piece in decoded(iter(self.inner), self.encoding, BODY_LIMIT):
                if reader:
                    reader.feed(piece)
                yield piece
        except ValueError as error:
            raise GarbledError(str(error)) from None

    def close(self: Any) -> None:
        self.inner.close()

    return type("BoundedStream", (base,), {"__init__": start, "__iter__": read, "close": close})
