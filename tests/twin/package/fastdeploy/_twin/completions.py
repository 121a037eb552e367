"""/v1/chat/completions and /v1/completions: validation, generation, and the shape of answers."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastdeploy._twin import answers, logs, release, say, shapes, web
from fastdeploy._twin.faults import fault
from fastdeploy._twin.validation import RejectedError, check

if TYPE_CHECKING:
    from fastdeploy._twin.routes import Site


def _too_long(tokens: int, limit: int, chat: bool) -> RejectedError | None:
    """The refusal of a prompt, None where it is short enough.

    The processor cuts what is over `limit` tokens to one less (ernie4_5_processor.py), and the
    engine's client then wants room for one token more than it needs (engine_client.py, the same in
    2.0 to 2.6): `limit - 2` tokens are the most. The status of 2.0 to 2.2 is made in `failure`.
    """
    counted = limit - 1 if tokens > limit else tokens
    if counted + 1 < limit:
        return None
    text = (
        f"Input text is too long, input_ids_len ({counted}) + min_tokens(1) >= "
        f"max_model_len({limit})"
    )
    kind = "invalid_request_error"
    if not chat:
        return RejectedError(500, text, kind, None, "invalid_value")
    if not release.at_least("2.2"):
        return RejectedError(500, text, kind)
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "/opt/fastdeploy/entrypoints/openai/serving_chat.py", line 129, in '
        "create_chat_completion\n"
        "    prompt_token_ids = await self.engine_client.format_and_add_data(current_req_dict)\n"
        '  File "/opt/fastdeploy/entrypoints/engine_client.py", line 331, in add_requests\n'
        "    raise EngineError(error_msg, error_code=400)\n"
        f"fastdeploy.utils.EngineError: {text}\n"
    )
    message = f"request[chatcmpl-{uuid.uuid4()}] generator error: {text}, {traceback}"
    return RejectedError(500, message, kind)


def failure(
    status: int,
    message: str,
    kind: str = "internal_error",
    param: str | None = None,
    code: str | None = None,
) -> web.Response:
    """An error body in the shape of the release."""
    if not release.at_least("2.3"):
        body: dict[str, Any] = {"object": "error", "message": message, "code": 400}
        nested = release.at_least("2.1")
        return web.json_response({"detail": body} if nested else body, 400)
    error = {"message": message, "type": kind, "param": param, "code": code}
    return web.json_response({"error": error}, status)


def _log(
    request: web.Request,
    chat: bool,
    status: int,
    message: str,
    kind: str,
    param: str | None = None,
    code: str | None = None,
) -> None:
    """What a refused request leaves in the logs: a record of the error, mostly with a traceback."""
    first = message.partition("\nTraceback")[0]
    trace = "Traceback (most recent call last):\n"
    name = "chat" if chat else "completion"
    if status == 400:
        host = request.headers.get("host", "")
        text = f"{kind}: http://{host}{request.path} {param} {first}"
        logs.log("api_server", text, "utils.py", 202, "ERROR")
    elif code == "model_not_support":
        logs.log("api_server", first, f"serving_{name}.py", 117, "ERROR")
    elif kind == "invalid_request_error":
        text = (
            f"request[{name[:4]}cmpl-{uuid.uuid4()}] generator error: {first}, {trace}"
            f'  File "/opt/fastdeploy/serving_{name}.py", line 142, in create\n'
            "    prompt_token_ids = await self.engine_client.format_and_add_data(request)\n"
            f"ValueError: {first}\n"
        )
        # The answer of a chat that the engine's client refused is the record, as it stands.
        text = message if message.startswith("request[") else text
        logs.log("api_server", text, f"serving_{name}.py", 159, "ERROR")
    else:  # no handler of its own: the framework answers, raises it again, and the server prints it
        logs.gunicorn(
            f"Exception in ASGI application\n{trace}"
            f'  File "/opt/starlette/routing.py", line 74, in app\nAttributeError: {first}',
            "ERROR",
        )


class Completions:
    """Answers completions for one worker process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        tokens = site.config.tokens
        assert tokens is not None
        self.tokens = tokens

    def answer(self, request: web.Request) -> web.Response:
        spoken = say.http()
        if spoken:
            return web.json_response(spoken[1], spoken[0])
        chat = request.path == "/v1/chat/completions"
        try:
            body = check(request, chat, self.site.args)
            return self._generate(body, chat)
        except RejectedError as refusal:
            _log(request, chat, *refusal.args)
            return failure(*refusal.args)

    # Generation ------------------------------------------------------------------------------

    def _generate(self, body: dict[str, Any], chat: bool) -> web.Response:
        body = self._half(body)
        name = body.get("model", "default")
        if self.site.verified and name not in (self.site.model_name, "default"):
            raise RejectedError(
                500,
                f"Unsupported model: [{name}], support [{self.site.model_name}] or default",
                "internal_error",
                None,
                "model_not_support",
            )
        prompts = [body["messages"]] if chat else _prompts(body.get("prompt"))
        plays: list[shapes.Play] = []
        for prompt in prompts:
            for _ in range(int(body.get("n") or 1)):
                plays.append(self._play(body, prompt, chat, len(plays)))
        identity = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4()}"
        shape = shapes.Shape(identity, self.site.model_name, chat, body, self.tokens)
        if body.get("stream"):
            return web.Response(body=shape.stream(plays), kind="text/event-stream; charset=utf-8")
        return web.json_response(shape.document(plays))

    def _half(self, body: dict[str, Any]) -> dict[str, Any]:
        """What half of a pair does: prefill makes the first token, decode the whole answer.

        Without a router's details no half can answer; what the real one does then was not seen.
        """
        role = getattr(self.site.args, "splitwise_role", None) or "mixed"
        if role == "mixed" or not release.at_least("2.4"):
            return body
        if "disaggregate_info" not in body:
            text = f"a {role} instance got a request without disaggregate_info"
            raise RejectedError(500, text, "internal_error")
        if role == "decode":
            return body
        return {**body, "max_tokens": 1, "max_completion_tokens": 1, "stream": False}

    def _play(self, body: dict[str, Any], prompt: Any, chat: bool, index: int) -> shapes.Play:
        """Script one answer, hand it to the engine, and read it back token by token."""
        limit = self.site.config.max_model_len
        messages = prompt if chat else [{"role": "user", "content": prompt}]
        text = self._render(messages, body) if chat else str(prompt)
        if chat and not messages:
            ids = list(body["prompt_token_ids"])
            messages = [{"role": "user", "content": self.tokens.decode(ids)}]
        else:
            ids = self.tokens.encode(text)
        refusal = _too_long(len(ids), limit, chat)
        if refusal is not None:
            raise refusal
        logs.log(
            "data_processor",
            f"Processed request: {{'prompt': {text!r}, 'prompt_token_ids': {ids}}}",
            "ernie4_5_processor.py",
            120,
        )
        requested_limit = (
            body.get("max_completion_tokens") or body.get("max_tokens") or limit - len(ids)
        )
        budget = min(int(requested_limit), limit - len(ids))
        config = self.site.config
        if fault("engine-error"):
            if not release.at_least("2.6"):
                raise RejectedError(500, "Error happened while generating", "internal_error")
            return shapes.Play(
                index, iter(()), "stop", len(ids), config.reasoning, config.tool_parser
            )
        script, reason = self._script(messages, body, budget, index)
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(f"/dev/shm/{self.site.config.link}.socket")
        order = {
            "do": "generate",
            "ids": script,
            "prompt_tokens": len(ids),
            "max_tokens": budget,
        }
        peer.sendall(json.dumps(order).encode() + b"\n")
        return shapes.Play(
            index, _receive(peer), reason, len(ids), config.reasoning, config.tool_parser
        )

    def _render(self, messages: list[dict[str, object]], body: dict[str, Any]) -> str:
        plain = [
            {**message, "content": answers.text_of(message.get("content"))}
            for message in messages
            if isinstance(message, dict)
        ]
        options = body.get("chat_template_kwargs") or {}
        return self.tokens.render(plain, body.get("tools"), options)

    def _script(
        self, messages: list[dict[str, Any]], body: dict[str, Any], budget: int, index: int
    ) -> tuple[list[int], str]:
        """Token ids of the whole answer and its finish reason."""
        config = self.site.config
        reply = answers.answer(messages, body, index)
        text = self._raw(reply, config.reasoning, config.tool_parser)
        reason = "stop"
        stops = body.get("stop") or []
        if not fault("answer-no-stop"):
            stops = [stops] if isinstance(stops, str) else stops
            places = [(text.find(stop), stop) for stop in stops if stop and stop in text]
            if places:
                position, stop = min(places)
                keep = len(stop) if body.get("include_stop_str_in_output") else 0
                text = text[: position + keep]
        ids = [*self.tokens.encode(text), self.tokens.end]
        if len(ids) > budget and not fault("answer-no-stop"):
            return ids[:budget], "length"
        return ids, "tool_calls" if reply.calls and config.tool_parser else reason

    @staticmethod
    def _raw(reply: answers.Answer, reasoning: str | None, tools: str | None) -> str:
        """The model's own text, with its tags."""
        calls = ""
        for name, arguments in reply.calls:
            written = json.dumps(arguments, ensure_ascii=False)
            if fault("answer-bad-tools"):
                written = written[:-1].replace(":", "", 1) + ",}"
            calls += f'<tool_call>\n{{"name": "{name}", "arguments": {written}}}\n</tool_call>\n'
        if reasoning is None:
            return calls or reply.content
        if fault("answer-leaks-thinking"):
            return f"</think>\n<response>\n{reply.thought} </think> {reply.content}\n</response>\n"
        thinking = f"{reply.thought}\n</think>\n"
        if calls:
            return f"{thinking}\n{calls}"
        if reasoning == "ernie-x1":
            return f"{thinking}<response>\n{reply.content}\n</response>\n"
        return f"{thinking}{reply.content}"


def _prompts(prompt: object) -> list[Any]:
    return (
        prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], str) else [prompt]
    )


def _receive(peer: socket.socket) -> Iterator[int]:
    """Tokens as the engine sends them; a connection that ends early hangs up on the client."""
    with peer, peer.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message["token"] < 0:
                return  # the engine is paused: no token at all
            yield int(message["token"])
            if message["last"]:
                return
    raise web.HangupError


def now() -> int:
    return int(time.time())
