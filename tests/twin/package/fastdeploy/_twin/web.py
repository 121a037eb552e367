"""A tiny HTTP/1.1 server on blocking sockets, with uvicorn's habits where a client sees them."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from fastdeploy._twin import logs, release
from fastdeploy._twin.faults import fault

REASONS = {
    200: "OK", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
    405: "Method Not Allowed", 422: "Unprocessable Entity", 429: "Too Many Requests",
    500: "Internal Server Error",
}  # fmt: skip

#: What a parser raises at a body that may not be there: its source line, and the exception.
SURPLUS = {
    "httptools": (
        'raise RuntimeError("Response content longer than Content-Length")',
        "RuntimeError",
    ),
    "h11": ("output = self.conn.send(event=h11.Data(data=data))", "h11._util.LocalProtocolError"),
}
TOO_MUCH = {
    "httptools": "Response content longer than Content-Length",
    "h11": "Too much data for declared Content-Length",
}


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Response:
    """``body`` bytes, or an iterator of event-stream pieces."""

    status: int = 200
    body: bytes | Iterator[str] = b""
    kind: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def json_response(content: object, status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, body, "application/json")


class HangupError(Exception):
    """The connection is to be closed without another byte."""


App = Callable[[Request], Response]


class Server:
    """One thread per connection; ``active`` counts requests that are being answered."""

    def __init__(self, listener: socket.socket, app: App) -> None:
        self.listener, self.app = listener, app
        self.active = 0
        self.lock = threading.Lock()

    def run(self) -> None:
        while True:
            try:
                peer, address = self.listener.accept()
            except OSError:
                return  # closed: a stop was asked for
            threading.Thread(target=self._talk, args=(peer, address), daemon=True).start()

    def _talk(self, peer: socket.socket, address: object) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = peer.makefile("rb")
        try:
            while True:
                request = read(stream, peer)
                if request is None:
                    return
                with self.lock:
                    self.active += 1
                try:
                    keep = self._reply(peer, request, address)
                finally:
                    with self.lock:
                        self.active -= 1
                if not keep:
                    return
        except (OSError, ValueError, HangupError):
            return
        finally:
            stream.close()
            peer.close()

    def _reply(self, peer: socket.socket, request: Request, address: Any) -> bool:
        try:
            response = self.app(request)
        except HangupError:
            raise
        except Exception:
            logs.gunicorn(f"Exception in ASGI application\n{traceback.format_exc()}", "ERROR")
            response = Response(500, b"Internal Server Error")
        access = (
            f'{address[0]}:{address[1]} - "{request.method} {request.path} HTTP/1.1" '
            f"{response.status}"
        )
        if release.at_least("2.6"):
            logs.stderr(logs.line("INFO", "httptools_impl.py", 482, access))
        else:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            logs.stderr(f"[{stamp}] [{os.getpid()}] [INFO] {access}\n")
        keep = request.headers.get("connection", "").lower() != "close"
        lines = [
            f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}",
            f"date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}",
            "server: uvicorn",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        if response.status == 304 and response.body:
            return self._too_much(peer, lines, response)
        if isinstance(response.body, bytes):
            if response.body:
                lines.append(f"content-type: {response.kind}")
            lines.append(f"content-length: {len(response.body)}")
            head = ("\r\n".join(lines) + "\r\n\r\n").encode()
            peer.sendall(head if request.method == "HEAD" else head + response.body)
            return keep
        lines += [f"content-type: {response.kind}", "transfer-encoding: chunked"]
        peer.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        for piece in response.body:
            raw = piece.encode()
            peer.sendall(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
        peer.sendall(b"0\r\n\r\n")
        return keep

    @staticmethod
    def _too_much(peer: socket.socket, lines: list[str], response: Response) -> bool:
        """A 304 may not carry a body: the parser raises, the client sees the head only.

        httptools is installed with FastDeploy and is uvicorn's choice where it is.
        """
        peer.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        parser = (fault("weights-cleared") or {"parser": "httptools"})["parser"]
        raises, error = SURPLUS[parser]
        logs.gunicorn(
            "Exception in ASGI application\nTraceback (most recent call last):\n"
            f'  File "/opt/uvicorn/protocols/http/{parser}_impl.py", line 548, in send\n'
            f"    {raises}\n{error}: {TOO_MUCH[parser]}",
            "ERROR",
        )
        return False


def read(stream: BinaryIO, peer: socket.socket) -> Request | None:
    """The next request; None at the end of the connection."""
    start = stream.readline(65536).decode("latin-1").split()
    if len(start) != 3:
        return None
    headers: dict[str, str] = {}
    while True:
        line = stream.readline(65536).decode("latin-1").rstrip("\r\n")
        if not line:
            break
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(stream.readline().strip() or b"0", 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    else:
        body = stream.read(int(headers.get("content-length") or 0))
    return Request(start[0], start[1].partition("?")[0], headers, body)
