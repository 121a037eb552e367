"""Answers that take their time: each byte comes before any time-out of a single read."""

from __future__ import annotations

from tests.support.hostile.bodies import answer
from tests.support.hostile.visit import CHUNKED, DRIP, EVENTS, JSON, OK, Visit, behaviour


@behaviour("silent")
def _(visit: Visit) -> None:
    visit.closing.wait()


@behaviour("a status line byte by byte")
def _(visit: Visit) -> None:
    visit.drip(b"HTTP/1.1 200 " + b"O" * 10_000)


@behaviour("a header byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, b"X-Slow: ")
    visit.for_ever(b"a", DRIP)


@behaviour("a header line now and then")
def _(visit: Visit) -> None:
    visit.send(OK)
    visit.for_ever(b"X-Slow: 1\r\n", DRIP * 3)


@behaviour("a body byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 100000\r\n\r\n")
    visit.for_ever(b" ", DRIP)


@behaviour("a body without a length byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Connection: close\r\n\r\n")
    visit.for_ever(b" ", DRIP)


@behaviour("chunks byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"1\r\n \r\n", DRIP)


@behaviour("a chunk's size byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"0", DRIP)


@behaviour("trailers now and then")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n2\r\n{}\r\n0\r\n")
    visit.for_ever(b"X-More: 1\r\n", DRIP)


@behaviour("trailers without an end")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n2\r\n{}\r\n0\r\n")
    visit.for_ever(b"X-More: 1\r\n" * 1000)


@behaviour("an event stream of comments")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b": keep-alive\n\n", DRIP)


@behaviour("an event stream of pings")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b'event: ping\ndata: {"type": "ping"}\n\n', DRIP)


@behaviour("an error's body byte by byte")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 503 No\r\n", JSON, b"Content-Length: 100000\r\n\r\n")
    visit.for_ever(b" ", DRIP)


@behaviour("a whole body in a connection that stays open")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Connection: keep-alive\r\n\r\n", answer())
    visit.closing.wait()
