"""A real HTTP server on loopback that takes webhooks and keeps what it got."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.decoded import JsonDict


class Webhook:
    """A server that answers as told, in the order of `answers`; the last one goes on."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, JsonDict, JsonDict]] = []
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, dict(self.headers), body))
                answers = outer.answers
                index = min(len(outer.requests), len(answers)) - 1
                (answers[index] if answers else status(204))(self)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def messages(self) -> list[JsonDict]:
        return [body for _, _, body in self.requests]

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer without a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer
