"""Replicas for tests of the front door: small servers that answer, stream, hang or break off."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from typing import Any, Literal

from launcher.door.config import Server
from tests.support.decoded import JsonDict

Behaviour = Literal["answer", "stream", "silent", "close", "cut"]
"""`close` reads a request and closes, `cut` closes within its answer, `silent` and `stream` wait
for `release` (a stream after its first chunk)."""


class Replica(http.server.ThreadingHTTPServer):
    """One replica; `/readyz` of its keeper is on the same port."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.behaviour: Behaviour = "answer"
        self.ready = True
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)
        """Released when a request has arrived whole (for streams: when its first chunk is out)."""
        self.aborted = threading.Event()
        self.requests: list[JsonDict] = []
        self.usage: dict[str, int] | None = None
        """What an answer says of its tokens."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def server(self, weight: int = 100) -> Server:
        """How the front door knows it."""
        return Server(self.name, "127.0.0.1", self.server_port, self.server_port, weight)

    def stop(self) -> None:
        """Close the port and end what waits."""
        self.release.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is part of these tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as its replica's behaviour says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Replica

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""

    def do_GET(self) -> None:
        """A check of readiness, or a request."""
        if self.path == "/readyz":
            self._send(200 if self.server.ready else 503, b"ok")
            return
        self._answer(b"")

    def do_POST(self) -> None:
        """A request with a body."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        replica = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        replica.requests.append({"path": self.path, "length": len(body), **headers})
        if replica.behaviour == "stream":
            self._stream()
            return
        replica.begun.release()
        if replica.behaviour == "silent":
            self._wait()
        if replica.behaviour == "close":
            self.close_connection = True
            return
        if replica.behaviour == "cut":
            self._begin()
            self._chunk(b"half")
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        answer: JsonDict = {"replica": replica.name, "length": len(body)}
        if replica.usage is not None:
            answer["usage"] = replica.usage
        self._send(200, json.dumps(answer).encode())

    def _stream(self) -> None:
        self._begin()
        self._chunk(f"data: {self.server.name}\n\n".encode())
        self.server.begun.release()
        self._wait()
        try:
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except OSError:
            self.server.aborted.set()

    def _wait(self) -> None:
        """Until released, or the client's side is closed."""
        self.connection.settimeout(0.02)
        while not self.server.release.is_set():
            try:
                if not self.connection.recv(1):
                    self.server.aborted.set()
                    break
            except TimeoutError:
                continue
            except OSError:
                self.server.aborted.set()
                break
        self.connection.settimeout(None)

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
