"""Loopback servers in the shapes of hosted providers, over the same scripted model.

AI/ML API: Bearer key, `system_fingerprint: ""`, null usage details, `meta.usage.credits_used`.
haimaker: plain OpenAI with a model list. ModelsLab: `/api/v7/llm`, in OpenAI's dialect with
`model_id` and `key` in the body, in Anthropic's with `/v1/messages`, count_tokens and models.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.smoke import model
from tests.smoke.servers import BadRequestError, Body, Handler, Server

KEY = "sk-hosted-right"
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class AimlHandler(Handler):
    """AI/ML API."""

    base = "/v1"
    models = ("baidu/ernie-4.5-21b-a3b-thinking", "baidu/ernie-4.5-21b-a3b", "baidu/ernie-4.5-0.3b")
    listed = False

    def do_GET(self) -> None:  # noqa: N802
        """A model list where the provider has one, nothing else."""
        if self.path != f"{self.base}/models" or not self.listed:
            self._send(404, {"message": "Not Found", "statusCode": 404})
        elif self._allowed():
            self._send(200, {"object": "list", "data": [{"id": m} for m in self.models]})

    def do_POST(self) -> None:  # noqa: N802
        """The provider's address of the chat route, and its body."""
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != f"{self.base}/chat/completions":
            self._send(404, {"message": "Not Found", "statusCode": 404})
            return
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not self._key_is_right(body):
            self._send(401, {"error": {"message": "Unauthorized", "type": "auth"}})
            return
        try:
            asked = self._asked(body, data)
        except BadRequestError as error:
            self._send(error.status, {"error": {"message": str(error), "type": "invalid_request"}})
            return
        with self.server.seats:
            self._chat(asked)

    def _key_is_right(self, body: Any) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server.key}"

    def _asked(self, body: Any, data: bytes) -> Body:
        if isinstance(body, dict) and body.get("model") not in self.models:
            raise BadRequestError("unknown model", 404)
        plain = {**body, "model": "tiny-ernie"} if isinstance(body, dict) else None
        return self._checked(data if plain is None else json.dumps(plain).encode())

    def _send(self, status: int, body: Any) -> None:
        if status == 200 and isinstance(body, dict) and "choices" in body:
            body["system_fingerprint"] = ""
            body["usage"]["prompt_tokens_details"] = None
            body["usage"]["completion_tokens_details"] = None
            body["meta"] = {"usage": {"credits_used": 42}}
        super()._send(status, body)


class HaimakerHandler(AimlHandler):
    """haimaker.ai: OpenAI as it is, with a model list."""

    models = ("baidu/ernie-4.5-21b-a3b-thinking",)
    listed = True

    def _send(self, status: int, body: Any) -> None:
        Handler._send(self, status, body)


class ModelsLabHandler(AimlHandler):
    """ModelsLab in OpenAI's dialect: the model in `model_id`, the key in `key`."""

    base = "/api/v7/llm"
    models = ("baidu-ernie-4.5-21b-a3b",)

    def _key_is_right(self, body: Any) -> bool:
        return isinstance(body, dict) and body.get("key") == self.server.key

    def _asked(self, body: Any, data: bytes) -> Body:
        if body.get("model_id") not in self.models:
            raise BadRequestError("model_id is required")
        return self._checked(json.dumps({**body, "model": "tiny-ernie"}).encode())

    def _send(self, status: int, body: Any) -> None:
        Handler._send(self, status, body)


class MessagesHandler(Handler):
    """ModelsLab in Anthropic's dialect."""

    base = "/api/v7/llm/v1"
    model = "baidu-ernie-4.5-21b-a3b"

    def do_GET(self) -> None:  # noqa: N802
        """The model list."""
        if self.path != f"{self.base}/models":
            self._send(404, self._error("not_found_error", "no route"))
        elif self._authorised():
            self._send(200, {"data": [{"type": "model", "id": self.model}], "has_more": False})

    def do_POST(self) -> None:  # noqa: N802
        """Messages and count_tokens."""
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._authorised():
            return
        try:
            body = json.loads(data)
            asked = self._translated(body)
        except (ValueError, KeyError, TypeError) as error:
            self._send(400, self._error("invalid_request_error", repr(error)))
            return
        if self.path == f"{self.base}/messages/count_tokens":
            self._send(200, {"input_tokens": model.prompt_tokens(asked)})
        elif self.path == f"{self.base}/messages":
            with self.server.seats:
                self._messages(asked, bool(body.get("stream")))
        else:
            self._send(404, self._error("not_found_error", "no route"))

    def _authorised(self) -> bool:
        # Older official clients send x-api-key, the current one a Bearer token.
        given = (self.headers.get("x-api-key"), self.headers.get("Authorization"))
        wanted = (self.server.key, f"Bearer {self.server.key}")
        if any(g == w for g, w in zip(given, wanted, strict=True)):
            return "anthropic-version" in self.headers or self._no_version()
        self._send(401, self._error("authentication_error", "invalid x-api-key"))
        return False

    def _no_version(self) -> bool:
        self._send(400, self._error("invalid_request_error", "anthropic-version is required"))
        return False

    def _translated(self, body: Body) -> Body:
        if body["model"] != self.model or not body["messages"]:
            raise ValueError("unknown model, or no messages")
        if not isinstance(body.get("max_tokens", 1), int) or body.get("max_tokens", 1) < 1:
            raise ValueError("max_tokens must be at least 1")
        if not isinstance(body["messages"], list):
            raise TypeError("messages must be a list")
        messages = [{"role": m["role"], "content": _flat(m["content"])} for m in body["messages"]]
        if body.get("system"):
            messages.insert(0, {"role": "system", "content": body["system"]})
        return {
            "messages": messages,
            "max_tokens": body.get("max_tokens", 64),
            "stop": body.get("stop_sequences"),
            "temperature": body.get("temperature", 1),
            "top_p": body.get("top_p", 1),
        }

    def _messages(self, asked: Body, stream: bool) -> None:
        choice = self._choice(asked, 0, random.Random())
        plain = choice["plain"]
        usage = {
            "input_tokens": model.prompt_tokens(asked),
            "output_tokens": choice["tokens"],
        }
        blocks = [
            {"type": "thinking", "thinking": plain["message"]["reasoning_content"] or ""},
            {"type": "text", "text": plain["message"]["content"] or ""},
        ]
        head = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
        }
        ended = {"stop_reason": STOPS[plain["finish_reason"]], "stop_sequence": None}
        if not stream:
            self._send(200, {**head, "content": blocks, **ended, "usage": usage})
            return
        start = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
        begun = {**usage, "output_tokens": 0}
        events: list[Body] = [{"type": "message_start", "message": {**start, "usage": begun}}]
        names = (("thinking", "thinking_delta"), ("text", "text_delta"))
        for index, ((key, kind), pieces) in enumerate(zip(names, choice["pieces"], strict=False)):
            block = {"type": key, key: "", **({"signature": ""} if key == "thinking" else {})}
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events += [
                {
                    "type": "content_block_delta",
                    "index": index,
                    "delta": {"type": kind, key: piece},
                }
                for piece in pieces
            ]
            events.append({"type": "content_block_stop", "index": index})
        counted = {"output_tokens": usage["output_tokens"]}
        events.append({"type": "message_delta", "delta": ended, "usage": counted})
        events.append({"type": "message_stop"})
        self._send_events(
            [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]
        )

    def _error(self, kind: str, text: str) -> Body:
        return {"type": "error", "error": {"type": kind, "message": text}}


def _flat(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(b.get("text") or b.get("content") or "") for b in content)


PROVIDERS: dict[str, tuple[type[Handler], str]] = {
    "aimlapi-ernie-4.5-21b-a3b-thinking": (AimlHandler, "/v1"),
    "aimlapi-ernie-4.5-21b-a3b": (AimlHandler, "/v1"),
    "aimlapi-ernie-4.5-0.3b": (AimlHandler, "/v1"),
    "haimaker-ernie-4.5-21b-a3b-thinking": (HaimakerHandler, "/v1"),
    "modelslab-ernie-4.5-21b-a3b": (ModelsLabHandler, "/api/v7/llm"),
    "modelslab-ernie-4.5-21b-a3b-anthropic": (MessagesHandler, "/api/v7/llm/v1"),
}
"""Shipped profile to the server in its shape and the API's root there."""


@contextmanager
def serve_as(profile: str) -> Iterator[str]:
    """A loopback server in the shape that `profile` is for; gives its base-url."""
    handler, base = PROVIDERS[profile]
    server = Server(key=KEY)
    server.RequestHandlerClass = handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.url + base
    finally:
        server.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
