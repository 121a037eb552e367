"""Routes that answer wrongly: health, models, metrics, errors, keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.message import Message

from tests.smoke import model
from tests.smoke.defects.planting import (
    Route,
    defect,
    path_answers,
)
from tests.smoke.servers import CONTEXT, Body, RouteAnswer, Server

defect("health-304", "health", route=path_answers("/health", 304, ""))
defect("health-503", "health", route=path_answers("/health", 503, "starting"))
defect(
    "models-without-ours",
    "models",
    route=path_answers("/v1/models", 200, {"data": [{"id": "other"}, {"id": "third"}]}),
)
defect("models-500", "models", route=path_answers("/v1/models", 500, "Internal Server Error"))
defect(
    "metrics-frozen",
    "metrics",
    route=path_answers("/metrics", 200, "requests_total 5\ngeneration_tokens_total 9\n"),
)
defect("metrics-html", "metrics", route=path_answers("/metrics", 200, "<html>hello</html>"))
defect(
    "settings-other",
    "settings",
    route=path_answers("/config-info", 200, {"model_config": {"max_model_len": 512}}),
)


def _hang_without_messages(
    server: Server, method: str, path: str, data: bytes, headers: Message
) -> RouteAnswer | None:
    if method == "POST" and b'"messages"' not in data:
        server.hang.wait(600)
        return (0, "")
    return None


def _refuse(status: int, body: Body | str, when: Callable[[bytes], bool]) -> Route:
    return lambda server, method, path, data, headers: (
        (status, body) if method == "POST" and when(data) else None
    )


def _json(data: bytes) -> Body:
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


ERROR: Body = {"error": {"message": "no", "type": "invalid_request_error"}}
TRACE: Body = {"error": {"message": "Traceback (most recent call last): File x"}}
OK: Body = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}

defect("bad-request-hangs", "bad-request", route=_hang_without_messages)
defect(
    "bad-request-500",
    "bad-request",
    route=_refuse(500, ERROR, lambda d: b"}" in d and b'"messages"' not in d),
)
defect(
    "empty-messages-accepted",
    "bad-empty-messages",
    route=_refuse(200, OK, lambda d: _json(d).get("messages") == []),
)
defect(
    "types-accepted",
    "bad-types",
    route=_refuse(200, OK, lambda d: isinstance(_json(d).get("messages"), str)),
)
defect(
    "negative-max-tokens-traceback",
    "bad-max-tokens",
    route=_refuse(400, TRACE, lambda d: _json(d).get("max_tokens") == -1),
)
defect("malformed-json-unexplained", "bad-json", route=_refuse(400, "bad", lambda d: not _json(d)))
defect(
    "any-model-accepted",
    "bad-model",
    route=_refuse(200, OK, lambda d: "no-such-model" in str(_json(d).get("model"))),
)
defect(
    "unknown-field-500", "unknown-field", route=_refuse(500, ERROR, lambda d: b"no_such_field" in d)
)
defect("huge-body-closes", "huge-body", route=_refuse(0, "", lambda d: len(d) > 1_000_000))


def _by_length(answer: RouteAnswer, least: int, most: int) -> Route:
    """A hook that gives prompts of these lengths, in tokens, another answer."""

    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        body = _json(data)
        if method != "POST" or not isinstance(body.get("messages"), list):
            return None
        return answer if least <= model.prompt_tokens(body) <= most else None

    return route


def _counts_requests_only(
    server: Server, method: str, path: str, data: bytes, headers: Message
) -> RouteAnswer | None:
    """Token counters stand still; what moves counts every request, our looks at it included."""
    if path != "/metrics":
        return None
    with server.lock:
        server.memory["looks"] = server.memory.get("looks", 0) + 1
    return 200, f"http_requests_total {server.memory['looks']}\ngeneration_tokens_total 9\n"


defect("over-long-accepted", "context-limit", route=_by_length((200, OK), CONTEXT, 8 * CONTEXT))
defect(
    "limit-eight-tokens-late", "context-limit", route=_by_length((200, OK), CONTEXT, CONTEXT + 8)
)
defect(
    "limit-at-half",
    "context-limit",
    route=_by_length((400, ERROR), CONTEXT // 2, 8 * CONTEXT),
)
defect("token-counters-frozen", "metrics", route=_counts_requests_only)


def _key(check: Callable[[str | None], bool]) -> Route:
    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        return (200, OK) if method == "POST" and check(headers.get("Authorization")) else None

    return route


defect("missing-key-accepted", "auth", route=_key(lambda key: key is None))
defect("wrong-key-accepted", "auth", route=_key(lambda key: "wrong" in str(key)))
