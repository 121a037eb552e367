"""HTTP/1.0 and 1.1 as far as the endpoint speaks it: requests without a body; no input or output.

RFC 9112. What a request may not be (a body, a folded header, two hosts) is refused rather than
interpreted: nothing that a probe or a scraper sends needs it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST_HEAD = 8 * 1024
"""Bytes of a request; what Prometheus and probes send has a few hundred."""
METHODS = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"

_END = re.compile(rb"\r?\n\r?\n")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/1\.([01])")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True)
class Request:
    """One request; `path` is without the query, `host` None where an HTTP/1.0 client sent none."""

    method: str
    path: str
    host: str | None
    keep_alive: bool


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int
    body: str
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class BadRequest(Exception):  # noqa: N818 - the name of the status
    """A request that is not understood; after the answer the connection is closed."""

    def __init__(self, status: int, reason: str) -> None:
        """`reason` is one line for the client."""
        super().__init__(reason)
        self.response = Response(status, f"{reason}\n")


def take(data: bytes) -> tuple[Request, bytes] | None:
    """The first request in `data` and what follows it; None while it is not complete.

    Raises:
        BadRequest: it is too long, or no request that we take.
    """
    start = len(data) - len(data.lstrip(b"\r\n"))  # empty lines before a request mean nothing
    end = _END.search(data, start, LONGEST_HEAD)
    if end is None:
        if len(data) >= LONGEST_HEAD:
            raise BadRequest(431, f"a request has at most {LONGEST_HEAD} bytes")
        return None
    head = data[start : end.start()].decode("latin-1").replace("\r\n", "\n")
    return _parse(head), data[end.end() :]


def _parse(head: str) -> Request:
    line, *rest = head.split("\n")
    parts = line.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):
        raise BadRequest(400, "the request line is not `METHOD PATH HTTP/1.1`")
    method, target, version = parts
    version_match = _VERSION.fullmatch(version)
    if version_match is None:
        raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    minor = int(version_match[1])
    headers = _headers(rest)
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    if has_body and method in METHODS:
        raise BadRequest(400, "a request has no body here")
    host = headers.get("host")
    if host is None and minor == 1:
        raise BadRequest(400, "an HTTP/1.1 request has a Host header")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        host, target = absolute[1], absolute[2] or "/"
    path = target.partition("?")[0]
    options = [one.strip().lower() for one in headers.get("connection", "").split(",")]
    keep_alive = "close" not in options if minor == 1 else "keep-alive" in options
    return Request(method, path, host, keep_alive)


def _headers(lines: list[str]) -> dict[str, str]:
    """Values by lower-case name."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name):
            raise BadRequest(400, "a header is not `Name: value`")
        if name in headers and name in ("host", "content-length"):
            raise BadRequest(400, f"two headers {name}")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def encode(response: Response, *, head: bool, keep_alive: bool) -> bytes:
    """`response` as sent; `head` leaves the body out, its length stays."""
    body = response.body.encode()
    lines = [
        f"HTTP/1.1 {response.status} {_REASONS[response.status]}",
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    text = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return text if head else text + body
