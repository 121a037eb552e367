"""Loopback servers in the shapes of hosted providers, over the same scripted model.

AI/ML API: Bearer key, `system_fingerprint: ""`, null usage details, `meta.usage.credits_used`.
haimaker: plain OpenAI with a model list. ModelsLab: `/api/v7/llm`, in OpenAI's dialect with
`model_id` and `key` in the body, in Anthropic's with `/v1/messages`, count_tokens and models.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.smoke.servers import BadRequestError, Body, Handler, Server

KEY = "sk-hosted-right"


def _json(data: bytes) -> Body | None:
    """The JSON object of a request, None where it holds none."""
    try:
        body = json.loads(data)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


class AimlHandler(Handler):
    """AI/ML API."""

    base = "/v1"
    models: tuple[str, ...] = (
        "baidu/ernie-4.5-21b-a3b-thinking",
        "baidu/ernie-4.5-21b-a3b",
        "baidu/ernie-4.5-0.3b",
    )
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
        body = _json(data)
        if not self._key_is_right(body):
            self._send(401, {"error": {"message": "Unauthorized", "type": "auth"}})
            return
        try:
            request = self._request(body, data)
        except BadRequestError as error:
            self._send(error.status, {"error": {"message": str(error), "type": "invalid_request"}})
            return
        with self.server.seats:
            self._chat(request)

    def _key_is_right(self, body: Body | None) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server.key}"

    def _request(self, body: Body | None, data: bytes) -> Body:
        if isinstance(body, dict) and body.get("model") not in self.models:
            raise BadRequestError("unknown model", 404)
        named = {"model": "tiny-ernie", "answer-as": (body or {}).get("model")}
        plain = {**body, **named} if isinstance(body, dict) else None
        return self._checked(data if plain is None else json.dumps(plain).encode())

    def _send(self, status: int, body: Body | str) -> None:
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

    def _send(self, status: int, body: Body | str) -> None:
        Handler._send(self, status, body)


class ModelsLabHandler(AimlHandler):
    """ModelsLab in OpenAI's dialect: the model in `model_id`, the key in `key`."""

    base = "/api/v7/llm"
    models = ("baidu-ernie-4.5-21b-a3b",)

    def _key_is_right(self, body: Body | None) -> bool:
        return isinstance(body, dict) and body.get("key") == self.server.key

    def _request(self, body: Body | None, data: bytes) -> Body:
        if body is None or body.get("model_id") not in self.models:
            raise BadRequestError("model_id is required")
        return self._checked(
            json.dumps({**body, "model": "tiny-ernie", "answer-as": body["model_id"]}).encode()
        )

    def _send(self, status: int, body: Body | str) -> None:
        Handler._send(self, status, body)


class MessagesHandler(Handler):
    """ModelsLab in Anthropic's dialect."""

    base = "/api/v7/llm/v1"
    served = "baidu-ernie-4.5-21b-a3b"

    def do_GET(self) -> None:  # noqa: N802
        """The model list."""
        if self.path != f"{self.base}/models":
            self._send(404, self.messages_error("not_found_error", "no route"))
        elif self._authorised():
            self._send(200, {"data": [{"type": "model", "id": self.served}], "has_more": False})

    def do_POST(self) -> None:  # noqa: N802
        """Messages and count_tokens, nothing else."""
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith(f"{self.base}/messages"):
            self.post_messages(data)
        else:
            self._send(404, self.messages_error("not_found_error", "no route"))


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
