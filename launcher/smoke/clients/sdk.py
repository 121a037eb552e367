"""What both official clients need: their HTTP client within our bounds, and their errors as ours.

Both are built on httpx (or its successor), whose time-outs bound one wait for the socket and whose
readers have no limit. Hooks of the HTTP client give every connection to a guard, decode the body
within a bound and count its events before the SDK collects them.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

from launcher.json_values import JsonObject, object_at
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


T = TypeVar("T")


class HttpRequest(Protocol):
    """A request of the SDK's HTTP library, as far as a hook needs it."""

    extensions: dict[str, object]
    headers: Mapping[str, str]


class ByteStream(Protocol):
    """The body of a response, as the HTTP library hands it on."""

    def __iter__(self) -> Iterator[bytes]:
        """Its pieces."""

    def close(self) -> None:
        """Let go of the connection."""


class HttpResponse(Protocol):
    """A response of the SDK's HTTP library, as far as a hook needs it."""

    status_code: int
    headers: MutableMapping[str, str]
    stream: ByteStream


@runtime_checkable
class NetworkStream(Protocol):
    """A connection of the SDK's HTTP library."""

    def get_extra_info(self, info: str) -> object:
        """What is known of it, by name."""


@runtime_checkable
class Model(Protocol):
    """An answer or an event as the SDK makes it: a pydantic model."""

    def model_dump(self, *, exclude_unset: bool, warnings: bool) -> Mapping[str, object]:
        """Its fields."""


class RawResponse(Protocol):
    """The bytes of a refusal."""

    @property
    def content(self) -> bytes:
        """The whole body."""


class StatusError(Protocol):
    """The error by which an SDK reports a status that is not 200."""

    status_code: int
    message: str

    @property
    def response(self) -> RawResponse:
        """What the server sent."""


class GarbledError(Exception):
    """An answer beyond a bound; no ValueError, which an SDK may take for its own."""


def http_client(maker: Callable[..., T], url: str, guard: Guard, entry: Exchange) -> T:
    """The SDK's own kind of HTTP client (`maker`), whose connections `guard` watches."""

    def trace(name: str, info: Mapping[str, object]) -> None:
        if name in ("connection.connect_tcp.complete", "connect_tcp.complete"):
            stream = info["return_value"]
            wire = stream.get_extra_info("socket") if isinstance(stream, NetworkStream) else None
            if not isinstance(wire, socket.socket):
                raise TypeError("the HTTP client shows no socket: its deadline cannot be kept")
            guard.watch(wire)

    def on_request(request: HttpRequest) -> None:
        request.extensions = {**request.extensions, "trace": trace}
        entry.headers = dict(request.headers)

    def on_response(response: HttpResponse) -> None:
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
    api_error: type[Exception], deadline: Deadline, entry: Exchange
) -> Iterator[tuple[Guard, float]]:
    """A guard, and the moment of sending; errors of the SDK become ours.

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
        except api_error as error:
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


def kept(response: object, transcript: Transcript, entry: Exchange, begun: float) -> JsonObject:
    """The JSON object of an SDK's whole answer; what the SDK read is held to our bounds, too."""
    seconds = time.monotonic() - begun
    raw = _dumped(response)
    try:
        value = loads(json.dumps(raw))
    except ValueError as error:
        raise GarbledError(str(error)) from None
    transcript.answered(entry, json.dumps(raw, ensure_ascii=False).encode(errors="replace"))
    entry.seconds = seconds
    return object_at(value)


def timed(stream: object, deadline: Deadline, entry: Exchange, begun: float) -> Iterator[Chunk]:
    """The chunks of an SDK's stream with their time.

    Raises:
        TransportError: the deadline passed, or an event the SDK cannot read.
    """
    try:
        if not isinstance(stream, Iterable):
            raise TypeError(f"{type(stream).__name__} in place of a stream")
        for item in stream:
            at = time.monotonic() - begun
            text = json.dumps(_dumped(item), ensure_ascii=False)
            raw = object_at(loads(text))
            entry.events.append((at, text))
            yield Chunk(at, raw)
            if time.monotonic() > deadline.end:
                raise _late(begun)
    except (ValueError, TypeError, AttributeError) as error:
        raise TransportError("garbled", f"the client cannot read the stream: {error}") from error


def _dumped(item: object) -> Mapping[str, object]:
    """The fields of an SDK's model; an answer that is not JSON is a text."""
    if not isinstance(item, Model):
        raise TypeError(f"{type(item).__name__} in place of an answer")
    return item.model_dump(exclude_unset=True, warnings=False)


def refused(error: StatusError, transcript: Transcript, entry: Exchange, begun: float) -> Answer:
    """The answer that an SDK's status error stands for."""
    seconds = time.monotonic() - begun
    entry.status, entry.seconds = error.status_code, seconds
    transcript.answered(entry, error.response.content)
    message = str(error.message)[:4000]
    return Answer(error.status_code, seconds, error=message, raw={"error": message})


def broken(error: BaseException, entry: Exchange, begun: float) -> TransportError:
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


class _BoundedStream:
    """The body of a response, decoded and within our bounds."""

    def __init__(self, inner: ByteStream, encoding: str, events: bool) -> None:
        self.inner, self.encoding, self.events = inner, encoding, events

    def __iter__(self) -> Iterator[bytes]:
        reader = EventReader() if self.events else None
        try:
            for piece in decoded(iter(self.inner), self.encoding, BODY_LIMIT):
                if reader:
                    reader.feed(piece)
                yield piece
        except ValueError as error:
            raise GarbledError(str(error)) from None

    def close(self) -> None:
        self.inner.close()


def _bounded(stream: ByteStream, encoding: str, events: bool) -> ByteStream:
    """A stream of the library that `stream` is from: it looks at the base class."""
    base = next(c for c in type(stream).__mro__ if c.__name__ == "SyncByteStream")
    kind = type("BoundedStream", (_BoundedStream, base), {})
    bounded: ByteStream = kind(stream, encoding, events)
    return bounded
