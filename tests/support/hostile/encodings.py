"""Compressed answers: honest ones, broken ones, and those that are larger than they look."""

from __future__ import annotations

import functools
import gzip
import zlib

from tests.support.hostile.bodies import answer
from tests.support.hostile.visit import EVENTS, JSON, OK, Visit, behaviour

GZIP = b"Content-Encoding: gzip\r\n"


@functools.cache
def bomb(byte: bytes) -> bytes:
    """200 MiB of `byte` in some 200 KB of gzip."""
    return _pack(byte * (1 << 20), 200)


@functools.cache
def members_in_gzip() -> bytes:
    """40 MiB of empty gzip members, compressed once: all work and no output."""
    return _pack(gzip.compress(b"", mtime=0) * 50_000, 40)


@functools.cache
def bomb_in_bombs() -> bytes:
    return gzip.compress(gzip.compress(bomb(b" "), 9), 9)


def _pack(part: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(part) for _ in range(times)) + packer.flush()


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@behaviour("a gzip bomb", lambda: bomb(b" "))
def _(visit: Visit) -> None:
    visit.send_response(bomb(b" "), JSON, GZIP)


@behaviour("a gzip bomb of events", lambda: bomb(b"\n"))
def _(visit: Visit) -> None:
    visit.send_response(bomb(b"\n"), EVENTS, GZIP)


@behaviour("a gzip bomb of errors", lambda: bomb(b" "))
def _(visit: Visit) -> None:
    visit.send_response(bomb(b" "), JSON, GZIP, status=b"HTTP/1.1 500 No\r\n")


@behaviour("a bomb in a bomb in a bomb", bomb_in_bombs)
def _(visit: Visit) -> None:
    visit.send_response(bomb_in_bombs(), JSON, b"Content-Encoding: gzip, gzip, gzip\r\n")


@behaviour("gzip of endless empty members")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, GZIP, b"Connection: close\r\n\r\n")
    visit.for_ever(gzip.compress(b"", mtime=0) * 3000)


@behaviour("a bomb of empty gzip members", members_in_gzip)
def _(visit: Visit) -> None:
    visit.send_response(members_in_gzip(), JSON, b"Content-Encoding: gzip, gzip\r\n")


@behaviour("gzip with an endless file name")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, GZIP, b"Connection: close\r\n\r\n")
    visit.send(b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03")
    visit.for_ever(b"a" * 65536)


@behaviour("gzip with endless padding")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, GZIP, b"Connection: close\r\n\r\n", gzip.compress(answer()))
    visit.for_ever(b"\0" * 65536)


@behaviour("gzip in gzip in gzip in gzip")
def _(visit: Visit) -> None:
    body = answer()
    for _ in range(4):
        body = gzip.compress(body)
    visit.send_response(body, JSON, b"Content-Encoding: gzip, gzip, gzip, gzip\r\n")


@behaviour("gzip that is none")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, GZIP)


@behaviour("gzip that is cut")
def _(visit: Visit) -> None:
    visit.send_response(gzip.compress(answer())[:-12], JSON, GZIP)


@behaviour("gzip with a wrong checksum")
def _(visit: Visit) -> None:
    visit.send_response(gzip.compress(answer())[:-8] + b"\0" * 8, JSON, GZIP)


@behaviour("gzip and then garbage")
def _(visit: Visit) -> None:
    visit.send_response(gzip.compress(answer()) + b"garbage", JSON, GZIP)


@behaviour("an unknown encoding")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, b"Content-Encoding: br\x1b[2J\r\n")


@behaviour("br that was not requested")
def _(visit: Visit) -> None:
    visit.send_response(b"\x0b\x02\x80{}\x03", JSON, b"Content-Encoding: br\r\n")


@behaviour("zstd that was not requested")
def _(visit: Visit) -> None:
    visit.send_response(
        b"\x28\xb5\x2f\xfd\x04\x00" + b"a" * 100, JSON, b"Content-Encoding: zstd\r\n"
    )


@behaviour("a thousand encodings")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, b"Content-Encoding: " + b"identity, " * 1000 + b"gzip\r\n")


@behaviour("an encoding twice")
def _(visit: Visit) -> None:
    visit.send_response(gzip.compress(answer()), JSON, GZIP, GZIP)


HONEST = {
    "gzip as it should be": (gzip.compress(answer()), b"gzip"),
    "gzip in two members": (gzip.compress(answer()[:9]) + gzip.compress(answer()[9:]), b"x-gzip"),
    "gzip in gzip": (gzip.compress(gzip.compress(answer())), b"gzip, gzip"),
    "deflate as it should be": (zlib.compress(answer()), b"deflate"),
    "deflate without a head": (_raw_deflate(answer()), b"deflate"),
    "an encoding in capitals": (gzip.compress(answer()), b" GZIP "),
}
"""What the standard allows: the body, and the encoding."""
for _name, (_body, _encoding) in HONEST.items():

    @behaviour(_name)
    def _(visit: Visit, body: bytes = _body, encoding: bytes = _encoding) -> None:
        visit.send_response(body, JSON, b"Content-Encoding: " + encoding + b"\r\n")
