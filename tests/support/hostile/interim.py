"""Interim answers (1xx) before the answer; RFC 9110, 15.2: a client reads on after any of them.

101 is the exception: the protocol ends there. What is in `HONEST` is allowed, and has to be read.
"""

from __future__ import annotations

from tests.support.hostile.bodies import answer
from tests.support.hostile.visit import DRIP, JSON, Visit, behaviour

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

HONEST = {
    "103 before the answer": HINTS,
    "100 before the answer": CONTINUE,
    "102 before the answer": b"HTTP/1.1 102 Processing\r\n\r\n",
    "several 1xx before the answer": CONTINUE + HINTS * 3 + b"HTTP/1.1 199 \r\n\r\n",
    "103 with a length before the answer": HINTS[:-2] + b"Content-Length: 5\r\n\r\n",
    "103 with chunks before the answer": HINTS[:-2] + b"Transfer-Encoding: chunked\r\n\r\n",
    "103 with an encoding before the answer": HINTS[:-2] + b"Content-Encoding: gzip\r\n\r\n",
    "103 with long fields before the answer": HINTS[:-2] + b"Link: %s\r\n\r\n" % (b"a" * 20_000),
    "103 of HTTP/1.0 before the answer": HINTS.replace(b"1.1", b"1.0"),
}
for _name, _before in HONEST.items():

    @behaviour(_name)
    def _(visit: Visit, before: bytes = _before) -> None:
        visit.send(before)
        visit.send_response(answer(), JSON)


@behaviour("a 103 that comes in parts")
def _(visit: Visit) -> None:
    visit.send(HINTS[:20])
    visit.closing.wait(0.05)
    visit.send(HINTS[20:])
    visit.closing.wait(0.05)
    visit.send_response(answer(), JSON)


@behaviour("a 103 and no answer")
def _(visit: Visit) -> None:
    visit.send(HINTS)


@behaviour("a 103 and silence")
def _(visit: Visit) -> None:
    visit.send(HINTS)
    visit.closing.wait()


@behaviour("a 103 with a field byte by byte")
def _(visit: Visit) -> None:
    visit.send(HINTS[:-2], b"X-Slow: ")
    visit.for_ever(b"a", DRIP)


@behaviour("a 103 with endless fields")
def _(visit: Visit) -> None:
    visit.send(HINTS[:-2])
    visit.for_ever(b"X-Again: 1\r\n" * 1000)


@behaviour("thousands of 103 before the answer")
def _(visit: Visit) -> None:
    visit.send(HINTS * 5000)
    visit.send_response(answer(), JSON)


@behaviour("100 Continue now and then")
def _(visit: Visit) -> None:
    visit.for_ever(CONTINUE, DRIP)


@behaviour("103 Early Hints now and then")
def _(visit: Visit) -> None:
    visit.for_ever(HINTS, DRIP)


@behaviour("a flood of 100 Continue")
def _(visit: Visit) -> None:
    visit.for_ever(CONTINUE * 1000)


@behaviour("a flood of 103 Early Hints")
def _(visit: Visit) -> None:
    visit.for_ever(HINTS * 1000)


@behaviour("a 103 and another protocol")
def _(visit: Visit) -> None:
    visit.send(HINTS, b"SSH-2.0-OpenSSH_9.6\r\n")


@behaviour("101 after 103")
def _(visit: Visit) -> None:
    visit.send(HINTS, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x05Hello")
