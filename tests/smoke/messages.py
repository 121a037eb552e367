"""Anthropic's Messages dialect over the scripted model: for the honest server and ModelsLab's."""

from __future__ import annotations

import json
import random
import uuid
from email.message import Message
from typing import TYPE_CHECKING

from tests.smoke import model
from tests.smoke.model import Body

if TYPE_CHECKING:
    from tests.smoke.servers import Event, Server

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class MessagesMixin:
    """The routes of the dialect; the rest of a request handler is the honest server's."""

    base = "/v1"
    served = "tiny-ernie"
    server: Server
    headers: Message
    path: str

    def _send(self, status: int, body: Body | str) -> None:
        raise NotImplementedError

    def _send_events(self, events: list[Event]) -> None:
        raise NotImplementedError

    def _choice(self, body: Body, index: int, draw: random.Random) -> Body:
        raise NotImplementedError

    def post_messages(self, data: bytes) -> None:
        """POST /messages and /messages/count_tokens."""
        if not self._authorised():
            return
        try:
            body = json.loads(data)
            request = self._translated(body)
        except (ValueError, KeyError, TypeError) as error:
            self._send(400, self.messages_error("invalid_request_error", repr(error)))
            return
        if self.path == f"{self.base}/messages/count_tokens":
            self._send(200, {"input_tokens": model.prompt_tokens(request)})
        elif self.path == f"{self.base}/messages":
            with self.server.seats:
                self._messages(request, bool(body.get("stream")))
        else:
            self._send(404, self.messages_error("not_found_error", "no route"))

    def _authorised(self) -> bool:
        if self.server.key is None:
            return True
        # Older official clients send x-api-key, the current one a Bearer token.
        keys = (self.headers.get("x-api-key"), self.headers.get("Authorization"))
        allowed = (self.server.key, f"Bearer {self.server.key}")
        if any(g == w for g, w in zip(keys, allowed, strict=True)):
            return "anthropic-version" in self.headers or self._no_version()
        self._send(401, self.messages_error("authentication_error", "invalid x-api-key"))
        return False

    def _no_version(self) -> bool:
        self._send(
            400, self.messages_error("invalid_request_error", "anthropic-version is required")
        )
        return False

    def _translated(self, body: Body) -> Body:
        if body["model"] != self.served or not body["messages"]:
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

    def _messages(self, request: Body, stream: bool) -> None:
        choice = self._choice(request, 0, random.Random())
        plain = choice["plain"]
        usage = {
            "input_tokens": model.prompt_tokens(request),
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
            "model": self.served,
        }
        ended = {"stop_reason": STOPS[plain["finish_reason"]], "stop_sequence": None}
        if not stream:
            self._send(200, {**head, "content": blocks, **ended, "usage": usage})
            return
        start: Body = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
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
        content_blocks: list[Event] = [
            f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events
        ]
        if hook := self.server.planted.events:
            content_blocks = hook(self.server, request, content_blocks)
        self._send_events(content_blocks)

    def messages_error(self, kind: str, text: str) -> Body:
        return {"type": "error", "error": {"type": kind, "message": text}}


def _flat(content: str | list[Body]) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(b.get("text") or b.get("content") or "") for b in content)
