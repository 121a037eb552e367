"""The behaviours of every `make test`, one a mechanism; the others run in `make soak`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hostile import encodings, interim
from tests.support.hostile.visit import BEHAVIOURS

MECHANISMS = {
    "deadline of the head": "a header byte by byte",
    "deadline of the body": "a body byte by byte",
    "deadline of a chunk's size": "a chunk's size byte by byte",
    "deadline of events": "an event stream of comments",
    "bound of interim answers": "a flood of 103 Early Hints",
    "deadline of interim answers": "100 Continue now and then",
    "bound of the head": "an endless header",
    "bound of a chunk's size": "an endless chunk extension",
    "bound of trailers": "trailers without an end",
    "bound of the body": "an endless body",
    "bound of an event": "an endless line of an event",
    "bound of decompression": "a gzip bomb",
    "bound of gzip members": "a bomb of empty gzip members",
    "encodings": "an unknown encoding",
    "depth of JSON": "body: deep content",
    "depth of JSON in events": "event: deep content",
    "digits of a number": "body: an integer of many digits",
    "digits of a number in events": "event: counts beyond a float",
    "half surrogates": "body: lone surrogates",
    "types of a body": "body: types that cannot be hashed",
    "types of an event": "event: wrong types within",
    "types of an error": "error: an error of errors",
    "indexes": "indexes out of any range",
    "escape sequences": "error: escape sequences",
    "a broken connection": "a reset within the body",
    "a body that is cut": "a body shorter than its length",
    "a length that is none": "a length of many digits",
    "not HTTP": "HTTP/0.9",
    "redirects": "a redirect to itself",
}


def every(*, where: str = "") -> list[Any]:
    """Every behaviour whose name holds `where`; all but one of each mechanism for `make soak`."""
    kept = set(MECHANISMS.values())
    assert kept <= set(BEHAVIOURS)
    return [
        name if name in kept else pytest.param(name, marks=pytest.mark.soak)
        for name in BEHAVIOURS
        if where in name
    ]


def unbounded() -> list[Any]:
    """The behaviours that would fill the memory of a reader without bounds."""
    marks = ("endless", "without an end", "bomb", "flood", "beyond memory", "members")
    honest = {*interim.HONEST, *encodings.HONEST}
    return [
        one
        for one in every()
        if (name := _name(one)) not in honest and any(word in name for word in marks)
    ]


def _name(one: Any) -> str:
    return one if isinstance(one, str) else str(one.values[0])
