"""Answers without an end, or larger than they look."""

from __future__ import annotations

from tests.support.hostile.bodies import answer
from tests.support.hostile.visit import CHUNKED, EVENTS, JSON, OK, Visit, behaviour


@behaviour("an endless body")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Connection: close\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless body of a known length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 99999999999\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("endless chunks")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"10000\r\n" + b"a" * 65536 + b"\r\n")


@behaviour("endless chunks of a byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"1\r\na\r\n" * 10_000)


@behaviour("one endless chunk")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\nFFFFFFFFFFFFFFFF\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless error")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 400 No\r\n", JSON, b"Connection: close\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless redirect")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless header")
def _(visit: Visit) -> None:
    visit.send(OK, b"X-Long: ")
    visit.for_ever(b"a" * 65536)


@behaviour("endless headers")
def _(visit: Visit) -> None:
    visit.send(OK)
    visit.for_ever(b"X-Again: 1\r\n" * 1000)


@behaviour("long headers")
def _(visit: Visit) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 60_000) for i in range(90))
    visit.send_response(answer(), JSON, lines)


@behaviour("an endless line of an event")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\ndata: ")
    visit.for_ever(b"a" * 65536)


@behaviour("an event of endless lines")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b"data: a\n" * 1000)


@behaviour("endless events")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b"data: {}\n\n" * 1000)


@behaviour("endless comments")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b": a\n\n" * 1000)


@behaviour("endless empty lines")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b"\n" * 10_000)
