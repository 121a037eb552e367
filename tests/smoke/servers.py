"""An OpenAI-compatible server on loopback that behaves perfectly, with hooks for defects.

`Defect` objects (see `defects.py`) change what goes in or out at one place each:

    request   the parsed body before the model sees it
    reply     the model's reply
    payload   the JSON of a plain answer
    events    the chunks of a stream, each a JSON object, `[DONE]` or raw bytes
    route     the answer of any route, before the honest one; None leaves it alone
    pause     seconds to wait before each chunk, by its position
    wire      the bytes of each event of a stream, as they are sent
    body      the bytes of any other answer, with the handler: one per connection
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.smoke import model, pictures
from tests.smoke.messages import MessagesMixin
from tests.support.decoded import JsonDict

Body = model.Body
Event = Body | str | bytes
"""A part of a stream: the JSON object of a chunk, `[DONE]`, or bytes as they are sent."""
RouteAnswer = tuple[int, Body | str]
"""Status and body; status 0 closes the connection."""
CONTEXT = 2048
SEATS = 4
DONE = "[DONE]"
TOKEN_SECONDS = 0.002


@dataclass
class Defect:
    """One planted fault; `check` is the check that exists for it."""

    name: str
    check: str
    request: Callable[[Server, Body], object] | None = None
    reply: Callable[[Server, Body, model.Reply], object] | None = None
    payload: Callable[[Server, Body, Body], object] | None = None
    events: Callable[[Server, Body, list[Event]], list[Event]] | None = None
    route: Callable[[Server, str, str, bytes, Message], RouteAnswer | None] | None = None
    pause: Callable[[int], float] | None = None
    wire: Callable[[Server, Body, bytes], bytes] | None = None
    body: Callable[[Server, Handler, bytes], bytes] | None = None


HONEST = Defect("honest", "")


class BadRequestError(Exception):
    """A client's error, with its status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """The server; honest unless it was given a defect."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, defect: Defect | None = None, key: str | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.defect = defect
        self.key = key
        self.seats = threading.BoundedSemaphore(SEATS)
        self.lock = threading.Lock()
        self.counters = {"requests_total": 0, "generation_tokens_total": 0}
        self.memory: JsonDict = {}
        self.hang = threading.Event()
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, object]:
        """Take a connection and remember it for the end."""
        connection, address = super().get_request()
        with self.lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection."""
        with self.lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection: clients that still read or keep one for later are told."""
        with self.lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the client was first
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        """The server's root."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def planted(self) -> Defect:
        """The defect; one without hooks where the server is honest."""
        return self.defect or HONEST

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def serve(defect: Defect | None = None, key: str | None = None, port: int = 0) -> Iterator[Server]:
    """A running server, gone at the end with every thread of its own released."""
    server = Server(defect, key, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.hang.set()
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()


class Handler(MessagesMixin, BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Server
    kind: str | None = None
    """The content type of plain answers where a defect gives another."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        """Health, models, metrics and settings."""
        if self._defective("GET", b""):
            return
        if self.path.startswith("/v1") and not self._allowed():
            return
        answers: dict[str, Callable[[], Body | str]] = {
            "/health": dict,
            "/v1/models": lambda: {
                "object": "list",
                "data": [{"id": "tiny-ernie", "object": "model", "max_model_len": CONTEXT}],
            },
            "/metrics": lambda: "".join(f"{k} {v}\n" for k, v in self.server.counters.items()),
            "/config-info": lambda: {"model_config": {"max_model_len": CONTEXT}},
        }
        answer = answers.get(self.path)
        self._send(200, answer()) if answer else self._send(404, {"error": {"message": "no route"}})

    def do_POST(self) -> None:
        """The chat route."""
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self._defective("POST", data):
            return
        if self.path.startswith("/v1/messages"):
            self.post_messages(data)
            return
        if self.path != "/v1/chat/completions":
            self._send(404, {"error": {"message": "no route"}})
            return
        if not self._allowed():
            return
        try:
            body = self._checked(data)
        except BadRequestError as error:
            error_body = {"message": str(error), "type": "invalid_request_error", "code": None}
            self._send(error.status, {"error": error_body})
            return
        with self.server.seats:
            self._chat(body)

    # --- judging requests ---------------------------------------------------------------------

    def _allowed(self) -> bool:
        right = f"Bearer {self.server.key}"
        if self.server.key is None or self.headers.get("Authorization") == right:
            return True
        self._send(401, {"error": {"message": "Unauthorized"}})
        return False

    def _checked(self, data: bytes) -> Body:
        try:
            body = json.loads(data)
        except ValueError as error:
            raise BadRequestError(f"malformed JSON: {error}") from error
        if not isinstance(body, dict) or "messages" not in body:
            raise BadRequestError("Field required: messages")
        messages = body["messages"]
        if not isinstance(messages, list) or not messages:
            raise BadRequestError("messages must be a list that is not empty")
        if body.get("model") != "tiny-ernie":
            raise BadRequestError("no such model", 404)
        limit = body.get("max_tokens", 256)
        if not isinstance(limit, int) or limit < 1:
            raise BadRequestError("max_tokens must be at least 1")
        for message in messages:
            if isinstance(message, dict) and isinstance(message.get("content"), list):
                fetches = self.server.memory.get("fetches")
                parts = [pictures.text_of(p, fetches=fetches) for p in message["content"]]
                if None in parts:
                    raise BadRequestError("media URLs must be data URLs")
                message["content"] = "".join(str(part) for part in parts)
        if model.prompt_tokens(body) >= CONTEXT:
            raise BadRequestError(f"the prompt is longer than {CONTEXT} tokens")
        return body

    # --- answering ----------------------------------------------------------------------------

    def _chat(self, body: Body) -> None:
        server = self.server
        if change := server.planted.request:
            change(server, body)
        seed = body.get("seed", random.random())
        choices = [
            self._choice(body, i, random.Random(f"{seed}-{i}")) for i in range(body.get("n") or 1)
        ]
        completion_tokens = sum(c["tokens"] for c in choices)
        thought = sum(c["thought"] for c in choices)
        prompt_tokens = model.prompt_tokens(body)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "completion_tokens_details": {"reasoning_tokens": thought},
        }
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body.get("answer-as") or body["model"],
        }
        with server.lock:
            server.counters["requests_total"] += 1
            server.counters["generation_tokens_total"] += completion_tokens
        if body.get("stream"):
            self._stream(body, head, choices, usage)
            return
        time.sleep(completion_tokens * TOKEN_SECONDS)
        payload = {
            **head,
            "object": "chat.completion",
            "choices": [c["plain"] for c in choices],
            "usage": usage,
        }
        if hook := server.planted.payload:
            hook(server, body, payload)
        self._send(200, payload)

    def _choice(self, body: Body, index: int, draw: random.Random) -> Body:
        server = self.server
        reply = model.answer(body, draw)
        if (body.get("chat_template_kwargs") or {}).get("enable_thinking") is False:
            reply.reasoning = ""
        if hook := server.planted.reply:
            hook(server, body, reply)
        thought, content = model.tokens(reply.reasoning), model.tokens(reply.content)
        finish = "tool_calls" if reply.calls else "stop"
        places = [p for word in _stops(body) if (p := reply.content.find(word)) >= 0]
        if places:
            content = model.tokens(reply.content[: min(places)])
        room = body.get("max_completion_tokens") or body.get("max_tokens", 256)
        if len(thought) + len(content) > room:
            finish = "length"
        thought = thought[:room]
        content = content[: room - len(thought)]
        calls: list[Body] = [
            {"id": f"call_{uuid.uuid4().hex[:8]}", "type": "function", "function": dict(c)}
            for c in reply.calls
        ]
        message: Body = {
            "role": "assistant",
            "content": "".join(content) if not calls else None,
            "reasoning_content": "".join(thought) or None,
            "tool_calls": calls or None,
        }
        arguments = [model.tokens(c["function"]["arguments"]) for c in calls]
        plain: Body = {"index": index, "message": message, "finish_reason": finish}
        if body.get("logprobs"):
            count = body.get("top_logprobs", 0)
            entries = [_logprob(token, count) for token in (*thought, *content)]
            plain["logprobs"] = {"content": entries}
        return {
            "plain": plain,
            "thought": len(thought),
            "tokens": len(thought) + len(content) + sum(map(len, arguments)),
            "pieces": (thought, content, arguments),
        }

    def _stream(self, body: Body, head: Body, choices: list[Body], usage: Body) -> None:
        events: list[Event] = []

        def chunk(
            index: int, delta: Body, finish: str | None = None, entry: Body | None = None
        ) -> None:
            choice: Body = {"index": index, "delta": delta, "finish_reason": finish}
            if entry is not None:
                choice["logprobs"] = {"content": [entry]}
            events.append({**head, "object": "chat.completion.chunk", "choices": [choice]})

        for choice in choices:
            plain = choice["plain"]
            thought, content, arguments = choice["pieces"]
            index = plain["index"]
            chunk(index, {"role": "assistant", "content": ""})
            entries = iter((plain.get("logprobs") or {}).get("content") or [])
            for piece in thought:
                chunk(index, {"reasoning_content": piece}, entry=next(entries, None))
            for piece in content:
                chunk(index, {"content": piece}, entry=next(entries, None))
            for position, call in enumerate(plain["message"]["tool_calls"] or []):
                function = {"name": call["function"]["name"], "arguments": ""}
                start = {"index": position, "id": call["id"], "type": "function"}
                chunk(index, {"tool_calls": [{**start, "function": function}]})
                for piece in arguments[position]:
                    more = {"index": position, "function": {"arguments": piece}}
                    chunk(index, {"tool_calls": [more]})
            chunk(index, {}, plain["finish_reason"])
        if (body.get("stream_options") or {}).get("include_usage"):
            shape = {**head, "object": "chat.completion.chunk", "choices": []}
            events.append({**shape, "usage": usage})
        events.append(DONE)
        if hook := self.server.planted.events:
            events = hook(self.server, body, events)
        self._send_events(events)

    # --- writing ------------------------------------------------------------------------------

    def _send_events(self, events: list[Event]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pause = self.server.planted.pause or (lambda position: TOKEN_SECONDS)
        for position, event in enumerate(events):
            seconds = pause(position)
            if seconds and self.server.hang.wait(seconds):
                return
            if isinstance(event, bytes):
                data = event
            else:
                text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
                data = f"data: {text}\n\n".encode()
            if hook := self.server.planted.wire:
                data = hook(self.server, {}, data)
            size = 1 if self.server.memory.get("bytewise") else len(data)
            for piece in (data[i : i + size] for i in range(0, len(data), size)):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, body: Body | str) -> None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        data = text.encode()
        if hook := self.server.planted.body:
            data = hook(self.server, self, data)
        self.send_response(status)
        kind = "text/plain" if isinstance(body, str) else "application/json"
        kind = self.kind or kind
        self.send_header("Content-Type", kind)
        if location := self.server.memory.get("location"):
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _defective(self, method: str, data: bytes) -> bool:
        hook = self.server.planted.route
        answer = hook(self.server, method, self.path, data, self.headers) if hook else None
        if answer is None:
            return False
        if answer[0]:
            self._send(*answer)
        else:
            self.close_connection = True
        return True


def _logprob(token: str, count: int) -> Body:
    """A token with its likelihood; the next likely ones are less so."""
    tops = [(token, -0.1), ("~", -3.0), ("^", -4.0)][: max(count, 1)]
    entries: list[Body] = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in tops]
    return {**entries[0], "top_logprobs": entries[:count]}


def _stops(body: Body) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else list(stop)
