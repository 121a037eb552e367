"""Answers that are not quite HTTP, and some that are and are rare."""

from __future__ import annotations

from tests.support.hostile.bodies import answer
from tests.support.hostile.visit import CHUNKED, EVENTS, JSON, OK, Visit, behaviour


@behaviour("closed at once")
def _(visit: Visit) -> None:
    pass


@behaviour("a reset")
def _(visit: Visit) -> None:
    visit.reset()


@behaviour("a reset within the headers")
def _(visit: Visit) -> None:
    visit.send(OK, JSON)
    visit.reset()


@behaviour("a reset within the body")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 1000\r\n\r\n{")
    visit.reset()


@behaviour("a body shorter than its length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 100000\r\n\r\n", answer())


@behaviour("a body longer than its length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 10\r\n\r\n", answer())


@behaviour("a length that is not a number")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: many\r\n\r\n", answer())


@behaviour("a negative length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: -5\r\n\r\n", answer())


@behaviour("a length of many digits")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", answer())


@behaviour("two lengths")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 3\r\nContent-Length: 500\r\n\r\n", answer())


@behaviour("a length and chunks")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"Content-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


@behaviour("chunks that are none")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n", answer())


@behaviour("a chunk of negative size")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n-1\r\n", b"a" * 70_000)


@behaviour("chunks that are cut")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n50\r\n{")


@behaviour("events that are cut")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, CHUNKED, b"\r\n5\r\ndata:\r\n")


@behaviour("HTTP/0.9")
def _(visit: Visit) -> None:
    visit.send(b"<html>hello</html>")


@behaviour("another protocol")
def _(visit: Visit) -> None:
    visit.send(b"SSH-2.0-OpenSSH_9.6\r\n" + b"\x16\x03\x01\x02\x00" * 100)


@behaviour("bytes without a meaning")
def _(visit: Visit) -> None:
    visit.send(bytes(range(256)) * 300)


@behaviour("a status that is not a number")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 OK 200\r\n\r\n")


@behaviour("a status of many digits")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n")


@behaviour("status 999")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, status=b"HTTP/1.1 999 No\r\n")


@behaviour("status 101")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05Hello")


@behaviour("status 204")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 204 No Content\r\n\r\n")


@behaviour("headers without a colon")
def _(visit: Visit) -> None:
    visit.send(OK, b"no colon here\r\n: no name\r\n\x00: \x1b[2J\r\n \tfolded\r\n\r\n", answer())


@behaviour("headers beyond ASCII")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, "X-Header: 你好 \x9b31m\r\n".encode())


@behaviour("an unknown charset")
def _(visit: Visit) -> None:
    visit.send_response(answer(), b"Content-Type: application/json; charset=\x1b-17\r\n")


@behaviour("a type that is none")
def _(visit: Visit) -> None:
    visit.send_response(answer(), b"Content-Type: ;;;=,\x00\r\n")


@behaviour("a redirect to itself")
def _(visit: Visit) -> None:
    visit.send_response(b"", b"Location: /v1/models\r\n", status=b"HTTP/1.1 307 Here\r\n")


@behaviour("a redirect to nowhere")
def _(visit: Visit) -> None:
    where = b"Location: http://[::bad\x1b[2J/" + b"a" * 5000 + b"\r\n"
    visit.send_response(b"", where, status=b"HTTP/1.1 302 There\r\n")


@behaviour("a redirect to a file")
def _(visit: Visit) -> None:
    visit.send_response(b"", b"Location: file:///etc/passwd\r\n", status=b"HTTP/1.1 301 There\r\n")


@behaviour("cookies")
def _(visit: Visit) -> None:
    lines = b"".join(
        b"Set-Cookie: a%d=%s; expires=Wed, 9999\r\n" % (i, b"b" * 500) for i in range(80)
    )
    visit.send_response(answer(), JSON, lines)


@behaviour("a header with a NUL")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, b"X-Nul\x00: a\x00b\r\nX-\x00: \x00\r\n")


@behaviour("a header with a lone carriage return")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, b"X-Cr: a\rContent-Length: 3\r\n")


@behaviour("a header with spaces in its name")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, b"X Spaced : 1\r\n")


@behaviour("a length with a sign")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: +%d\r\n\r\n" % len(answer()), answer())


@behaviour("a length in other digits")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, "Content-Length: ١٠\r\n\r\n".encode(), answer())


@behaviour("a length beyond memory")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 9223372036854775808\r\n\r\n", answer())


@behaviour("a chunk extension of a megabyte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n2;a=", b"b" * (1 << 20), b"\r\n{}\r\n0\r\n\r\n")


@behaviour("an endless chunk extension")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n2;a=")
    visit.for_ever(b"b" * 65536)


@behaviour("a chunk beyond memory")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n" + b"F" * 60 + b"\r\n{}")


@behaviour("an unknown transfer encoding")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n")


@behaviour("status 304")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")


@behaviour("status 205 with a body")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON, status=b"HTTP/1.1 205 Reset Content\r\n")


@behaviour("status 300 with an address")
def _(visit: Visit) -> None:
    visit.send_response(answer(), b"Location: /v1/other\r\n", status=b"HTTP/1.1 300 Choices\r\n")


@behaviour("a redirect with many addresses")
def _(visit: Visit) -> None:
    visit.send_response(b"", b"Location: /a\r\n" * 50, status=b"HTTP/1.1 308 There\r\n")


@behaviour("two answers to one request")
def _(visit: Visit) -> None:
    visit.send_response(answer(), JSON)
    visit.send_response(answer("This is not yours."), JSON)


@behaviour("HTTP/2 frames")
def _(visit: Visit) -> None:
    visit.send(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00\x03\x00\x00\x00\x64" * 3)


@behaviour("a TLS alert")
def _(visit: Visit) -> None:
    visit.send(b"\x15\x03\x01\x00\x02\x02\x46")


LENGTH = b"Content-Length: %d\r\n" % len(answer())
HONEST = {
    "bare line feeds": (OK + JSON + LENGTH + b"\r\n").replace(b"\r", b""),
    "two equal lengths": OK + JSON + LENGTH * 2 + b"\r\n",
    "an empty reason": b"HTTP/1.1 200\r\n" + JSON + LENGTH + b"\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n",
    "header names in capitals": OK + (JSON + LENGTH).upper() + b"\r\n",
}
"""What every client reads: the head of an honest answer."""
for _name, _head in HONEST.items():

    @behaviour(_name)
    def _(visit: Visit, head: bytes = _head) -> None:
        visit.send(head, answer())


@behaviour("chunks with extensions and trailers")
def _(visit: Visit) -> None:
    body = answer()
    visit.send(OK, JSON, CHUNKED, b'\r\n1;a="b"\r\n%s\r\n' % body[:1])
    visit.send(b"%X;c\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(body) - 1, body[1:]))
