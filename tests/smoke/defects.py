"""Planted faults, each with the check that exists for it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from tests.smoke import model
from tests.smoke.servers import DONE, Body, Defect, Server

DEFECTS: dict[str, Defect] = {}


def defect(name: str, check: str, **hooks: Any) -> None:
    """Plant one more."""
    DEFECTS[name] = Defect(name, check, **hooks)


def message(payload: Body) -> Body:
    """The message of a plain answer."""
    found: Body = payload["choices"][0]["message"]
    return found


def payload(change: Callable[[Body, Body], Any]) -> Callable[[Server, Body, Body], None]:
    """A hook that changes plain answers: change(payload, request)."""
    return lambda server, body, made: change(made, body) and None


def deltas(
    change: Callable[[list[Any], Body], list[Any]],
) -> Callable[[Server, Body, list[Any]], list[Any]]:
    """A hook that changes streams: change(events, request) -> events."""
    return lambda server, body, events: change(events, body)


def path_answers(
    path: str, status: int, body: Any, method: str = "GET"
) -> Callable[..., tuple[int, Any] | None]:
    """A hook that gives one route another answer."""
    return lambda server, m, p, data, headers: (status, body) if (m, p) == (method, path) else None


def pieces(events: list[Any], field: str = "content") -> list[int]:
    """The positions of the chunks that carry text in `field`."""
    return [
        i
        for i, e in enumerate(events)
        if isinstance(e, dict) and e["choices"] and e["choices"][0]["delta"].get(field)
    ]


def text_in(event: Any, field: str = "content") -> str:
    """The text of a chunk."""
    return str(event["choices"][0]["delta"][field])


# --- routes -----------------------------------------------------------------------------------

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
    server: Server, method: str, path: str, data: bytes, headers: Any
) -> tuple[int, Any] | None:
    if method == "POST" and b'"messages"' not in data:
        server.hang.wait(30)
        return (0, "")
    return None


def _bad(status: int, body: Any, when: Callable[[bytes], bool]) -> Callable[..., Any]:
    return lambda server, method, path, data, headers: (
        (status, body) if method == "POST" and when(data) else None
    )


def _json(data: bytes) -> Body:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


ERROR = {"error": {"message": "no", "type": "invalid_request_error"}}
TRACE = {"error": {"message": "Traceback (most recent call last): File x"}}
OK = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}

defect("bad-request-hangs", "bad-request", route=_hang_without_messages)
defect(
    "bad-request-500",
    "bad-request",
    route=_bad(500, ERROR, lambda d: b"}" in d and b'"messages"' not in d),
)
defect(
    "empty-messages-accepted",
    "bad-empty-messages",
    route=_bad(200, OK, lambda d: _json(d).get("messages") == []),
)
defect(
    "types-accepted",
    "bad-types",
    route=_bad(200, OK, lambda d: isinstance(_json(d).get("messages"), str)),
)
defect(
    "negative-max-tokens-traceback",
    "bad-max-tokens",
    route=_bad(400, TRACE, lambda d: _json(d).get("max_tokens") == -1),
)
defect("malformed-json-unexplained", "bad-json", route=_bad(400, "bad", lambda d: not _json(d)))
defect(
    "any-model-accepted",
    "bad-model",
    route=_bad(200, OK, lambda d: "no-such-model" in str(_json(d).get("model"))),
)
defect(
    "unknown-field-500", "unknown-field", route=_bad(500, ERROR, lambda d: b"no_such_field" in d)
)
defect("huge-body-closes", "huge-body", route=_bad(0, "", lambda d: len(d) > 1_000_000))
defect(
    "over-long-accepted",
    "context-limit",
    route=_bad(200, OK, lambda d: len(d) > 8_000 and len(d) < 1_000_000),
)


def _key(check: Callable[[str | None], bool]) -> Callable[..., Any]:
    def route(server: Server, method: str, path: str, data: bytes, headers: Any) -> Any:
        return (200, OK) if method == "POST" and check(headers.get("Authorization")) else None

    return route


defect("missing-key-accepted", "auth", route=_key(lambda given: given is None))
defect("wrong-key-accepted", "auth", route=_key(lambda given: "wrong" in str(given)))


# --- plain answers ------------------------------------------------------------------------------

defect(
    "empty-answer",
    "chat",
    payload=payload(lambda p, b: message(p).update(content="", reasoning_content=None)),
)
defect("no-choices", "chat", payload=payload(lambda p, b: p.update(choices=[])))
defect("no-role", "chat", payload=payload(lambda p, b: message(p).pop("role")))
defect("usage-missing", "usage", payload=payload(lambda p, b: p.pop("usage")))
defect(
    "usage-null-counts", "usage", payload=payload(lambda p, b: p["usage"].update(total_tokens=None))
)
defect("usage-sum-wrong", "usage", payload=payload(lambda p, b: p["usage"].update(total_tokens=1)))
defect(
    "usage-constant",
    "usage",
    payload=payload(
        lambda p, b: p["usage"].update(
            prompt_tokens=7, total_tokens=7 + p["usage"]["completion_tokens"]
        )
    ),
)
defect(
    "length-not-said",
    "max-tokens",
    payload=payload(lambda p, b: p["choices"][0].update(finish_reason="stop")),
)
defect("max-tokens-ignored", "max-tokens", request=lambda s, b: b.pop("max_tokens", None) and None)
defect("stop-ignored", "stop", request=lambda s, b: b.pop("stop", None) and None)
defect(
    "stop-string-kept",
    "stop",
    payload=payload(
        lambda p, b: (
            b.get("stop") and message(p).update(content=message(p)["content"] + b["stop"][0])
        )
    ),
)
defect(
    "system-prompt-dropped",
    "system-prompt",
    request=lambda s, b: b.update(messages=[m for m in b["messages"] if m["role"] != "system"]),
)
defect("only-last-turn", "multi-turn", request=lambda s, b: b.update(messages=b["messages"][-1:]))
defect(
    "long-prompt-truncated",
    "needle",
    request=lambda s, b: b["messages"][-1].update(content=b["messages"][-1]["content"][-1500:]),
)
defect(
    "reasoning-in-content",
    "reasoning",
    payload=payload(
        lambda p, b: message(p).update(
            content=f"{message(p)['reasoning_content']} {message(p)['content']}"
        )
    ),
)
defect(
    "answer-swallowed",
    "reasoning",
    payload=payload(
        lambda p, b: message(p).update(
            reasoning_content=f"{message(p)['reasoning_content']} {message(p)['content']}",
            content="",
        )
    ),
)
defect(
    "no-reasoning",
    "reasoning",
    payload=payload(lambda p, b: message(p).update(reasoning_content=None)),
)
defect(
    "tags-in-content",
    "tags",
    payload=payload(
        lambda p, b: message(p).update(content=f"<response>\n{message(p)['content']}\n</response>")
    ),
)
defect(
    "think-tag-leaks",
    "reasoning",
    payload=payload(
        lambda p, b: message(p).update(
            content=f"{message(p)['reasoning_content']}</think>{message(p)['content']}",
            reasoning_content=None,
        )
    ),
)
defect(
    "reasoning-uncounted",
    "reasoning-usage",
    payload=payload(
        lambda p, b: p["usage"]["completion_tokens_details"].update(reasoning_tokens=0)
    ),
)
defect(
    "thinking-cannot-be-switched",
    "thinking-off",
    request=lambda s, b: b.pop("chat_template_kwargs", None) and None,
)


# --- tools --------------------------------------------------------------------------------------


def _calls(change: Callable[[Body], Any]) -> Callable[[Server, Body, Body], None]:
    def hook(server: Server, body: Body, made: Body) -> None:
        for call in message(made).get("tool_calls") or []:
            change(call)

    return hook


def _as_text(server: Server, body: Body, reply: model.Reply) -> None:
    if reply.calls and "response_format" not in body:
        said = json.dumps(reply.calls[0])
        reply.calls, reply.content = [], f"<tool_call>{said}</tool_call>"


def _schema_ignored(server: Server, body: Body, reply: model.Reply) -> None:
    for call in reply.calls:
        call["arguments"] = call["arguments"].replace('"c"', '"celsius"')


defect("tool-call-as-text", "tool-call", reply=_as_text)
defect("tool-enum-ignored", "tool-call", reply=_schema_ignored)
defect(
    "tool-arguments-broken",
    "tool-call",
    payload=_calls(lambda c: c["function"].update(arguments=c["function"]["arguments"][:-2])),
)
defect(
    "tool-arguments-object",
    "tool-call",
    payload=_calls(lambda c: c["function"].update(arguments={"location": "Beijing"})),
)
defect("tool-call-without-id", "tool-call", payload=_calls(lambda c: c.pop("id")))
defect(
    "tool-finish-stop",
    "tool-call",
    payload=payload(
        lambda p, b: message(p)["tool_calls"] and p["choices"][0].update(finish_reason="stop")
    ),
)
defect(
    "tool-property-extra",
    "tool-call",
    reply=lambda s, b, r: (
        [c.update(arguments=c["arguments"][:-1] + ', "mood": 1}') for c in r.calls] and None
    ),
)
defect(
    "tool-result-lost",
    "tool-round-trip",
    request=lambda s, b: b.update(
        messages=[m for m in b["messages"] if m["role"] != "tool"][:1]
        if any(m["role"] == "tool" for m in b["messages"])
        else b["messages"],
        tools=[] if any(m["role"] == "tool" for m in b["messages"]) else b.get("tools"),
    ),
)
defect(
    "always-first-tool",
    "tool-two",
    reply=lambda s, b, r: (
        [
            c.update(name="get_weather", arguments='{"location": "Paris", "unit": "c"}')
            for c in r.calls
        ]
        and None
    ),
)
defect(
    "one-call-only",
    "tool-parallel",
    reply=lambda s, b, r: r.calls and r.calls.__delitem__(slice(1, None)),
)
defect("parallel-ids-equal", "tool-parallel", payload=_calls(lambda c: c.update(id="call_1")))
defect(
    "needless-call",
    "tool-not-called",
    request=lambda s, b: b.get("tools") and b.update(tool_choice="required"),
)


def _order_ignored(kind: str) -> Callable[[Server, Body], None]:
    def hook(server: Server, body: Body) -> None:
        choice = body.get("tool_choice")
        if ("named" if isinstance(choice, dict) else choice) == kind:
            body["tool_choice"] = "auto"

    return hook


def _streamed_only(hook: Callable[..., Any]) -> Callable[..., Any]:
    return lambda server, body, *rest: hook(server, body, *rest) if body.get("stream") else None


defect("required-ignored", "tool-required", request=_order_ignored("required"))
defect(
    "required-ignored-stream",
    "tool-required-stream",
    request=_streamed_only(_order_ignored("required")),
)
defect("named-ignored", "tool-named", request=_order_ignored("named"))
defect("named-ignored-stream", "tool-named-stream", request=_streamed_only(_order_ignored("named")))
defect("none-ignored", "tool-none", request=_order_ignored("none"))
defect("tool-stream-as-text", "tool-call-stream", reply=_streamed_only(_as_text))


def _tool_pieces(change: Callable[[list[int], list[Any]], Any]) -> Any:
    def hook(events: list[Any], body: Body) -> list[Any]:
        where = pieces(events, "tool_calls")
        if where:
            change(where, events)
        return events

    return deltas(hook)


def _swap(where: list[int], events: list[Any]) -> None:
    a, b = where[3], where[5]
    events[a], events[b] = events[b], events[a]


def _drop_last(where: list[int], events: list[Any]) -> None:
    del events[where[-1]]


defect("tool-pieces-swapped", "tool-call-stream", events=_tool_pieces(_swap))
defect("tool-last-piece-lost", "tool-call-stream", events=_tool_pieces(_drop_last))


# --- structured, sampling -----------------------------------------------------------------------

defect(
    "json-in-fence",
    "json-mode",
    payload=payload(
        lambda p, b: (
            b.get("response_format")
            and message(p).update(content=f"```json\n{message(p)['content']}\n```")
        )
    ),
)
defect(
    "json-mode-ignored",
    "json-mode",
    reply=lambda s, b, r: (
        (
            (b.get("response_format") or {}).get("type") == "json_object"
            and setattr(r, "content", "Ada is 36.")
        )
        and None
    ),
)
defect(
    "schema-ignored",
    "json-schema",
    request=lambda s, b: (
        (b.get("response_format") or {}).get("type") == "json_schema"
        and b.pop("response_format")
        and None
    ),
)
defect("temperature-ignored", "temperature", request=lambda s, b: b.update(temperature=0))
defect("top-p-ignored", "top-p", request=lambda s, b: b.pop("top_p", None) and None)
defect("seed-ignored", "seed", request=lambda s, b: b.pop("seed", None) and None)
defect(
    "penalties-ignored", "penalties", request=lambda s, b: b.pop("frequency_penalty", None) and None
)
defect("n-ignored", "n", request=lambda s, b: b.pop("n", None) and None)
defect(
    "n-copies",
    "n",
    payload=payload(
        lambda p, b: p.update(
            choices=[{**p["choices"][0], "index": i} for i in range(len(p["choices"]))]
        )
    ),
)
defect("logprobs-missing", "logprobs", request=lambda s, b: b.pop("logprobs", None) and None)
defect(
    "logprobs-positive",
    "logprobs",
    payload=payload(
        lambda p, b: [
            e.update(logprob=1.5)
            for e in (p["choices"][0].get("logprobs") or {}).get("content", [])
        ]
    ),
)


# --- streams ------------------------------------------------------------------------------------


def _swapped(events: list[Any], body: Body) -> list[Any]:
    where = [i for i in pieces(events) if re.fullmatch(r"\s*\d", text_in(events[i]))]
    if len(where) > 6:
        a, b = where[2], where[5]
        events[a], events[b] = events[b], events[a]
    return events


def _cut_in_two(events: list[Any], body: Body) -> list[Any]:
    made: list[Any] = []
    for event in events:
        text = text_in(event) if pieces([event]) else ""
        if "🙂" in text or "从" in text:
            for half in (text.replace("🙂", "\ufffd").replace("从", "\ufffd"), "\ufffd"):
                copy = json.loads(json.dumps(event))
                copy["choices"][0]["delta"]["content"] = half
                made.append(copy)
        else:
            made.append(event)
    return made


def _bytes_cut(events: list[Any], body: Body) -> list[Any]:
    made: list[Any] = []
    for event in events:
        data = f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        cut = data.find("🙂".encode())
        made.append(data[: cut + 2] + data[cut + 4 :] if cut >= 0 else event)
    return made


def _one_lost(events: list[Any], body: Body) -> list[Any]:
    where = pieces(events)
    if where:
        del events[where[len(where) // 2]]
    return events


def _doubled(events: list[Any], body: Body) -> list[Any]:
    where = pieces(events)
    if where:
        events.insert(where[0], events[where[0]])
    return events


def _without(kind: str) -> Callable[[list[Any], Body], list[Any]]:
    def change(events: list[Any], body: Body) -> list[Any]:
        if kind == "done":
            return [e for e in events if e != DONE]
        if kind == "usage":
            return [e for e in events if not (isinstance(e, dict) and e.get("usage"))]
        for event in events:
            if isinstance(event, dict) and event["choices"]:
                event["choices"][0].pop("finish_reason")
        return events

    return change


def _reasoning_last(events: list[Any], body: Body) -> list[Any]:
    thoughts = [events[i] for i in pieces(events, "reasoning_content")]
    said = [events[i] for i in pieces(events)]
    rest = [e for e in events if e not in thoughts and e not in said]
    return [rest[0], *said, *thoughts, *rest[1:]]


def _usage_first(events: list[Any], body: Body) -> list[Any]:
    with_usage = [e for e in events if isinstance(e, dict) and e.get("usage")]
    return [*with_usage, *[e for e in events if e not in with_usage]]


def _new_ids(events: list[Any], body: Body) -> list[Any]:
    for number, event in enumerate(events):
        if isinstance(event, dict):
            event["id"] = f"chatcmpl-{number}"
    return events


def _text_after_end(events: list[Any], body: Body) -> list[Any]:
    where = pieces(events)
    if where:
        events.insert(len(events) - 1, events[where[-1]])
    return events


def _tags_streamed(events: list[Any], body: Body) -> list[Any]:
    where = pieces(events)
    if where:
        first = events[where[0]]["choices"][0]["delta"]
        first["content"] = f"<response>{first['content']}"
    return events


def _miscounted(events: list[Any], body: Body) -> list[Any]:
    for event in events:
        if isinstance(event, dict) and event.get("usage"):
            event["usage"]["completion_tokens_details"]["reasoning_tokens"] += 13
    return events


def _merged(events: list[Any], body: Body) -> list[Any]:
    """Reasoning streamed as content."""
    for i in pieces(events, "reasoning_content"):
        delta = events[i]["choices"][0]["delta"]
        delta["content"] = delta.pop("reasoning_content")
    return events


def _cut_off(events: list[Any], body: Body) -> list[Any]:
    return events[: len(events) // 2]


defect("chunks-swapped", "stream-order", events=deltas(_swapped))
defect("reasoning-after-answer", "stream-order", events=deltas(_reasoning_last))
defect("stream-ids-change", "stream-order", events=deltas(_new_ids))
defect("text-after-finish", "stream-order", events=deltas(_text_after_end))
defect("no-done", "stream-end", events=deltas(_without("done")))
defect("no-finish-reason", "stream-end", events=deltas(_without("finish")))
defect("stream-cut-off", "stream-end", events=deltas(_cut_off))
defect("stream-usage-missing", "stream-usage", events=deltas(_without("usage")))
defect("stream-usage-first", "stream-usage", events=deltas(_usage_first))
defect("chunk-lost", "stream-equals-plain", events=deltas(_one_lost))
defect("chunk-doubled", "stream-equals-plain", events=deltas(_doubled))
defect("tags-in-stream", "tags-stream", events=deltas(_tags_streamed))
defect("reasoning-merged-in-stream", "reasoning-stream", events=deltas(_merged))
defect("reasoning-miscounted-in-stream", "reasoning-usage", events=deltas(_miscounted))
defect("character-cut", "stream-unicode", events=deltas(_cut_in_two))
defect("bytes-cut", "stream-bytes", events=deltas(_bytes_cut))
defect("generated-then-sent", "stream-timing", pause=lambda i: 0.4 if i == 0 else 0.0)
defect("hang-after-first-token", "stream-timing", pause=lambda i: 30.0 if i == 4 else 0.001)
defect(
    "output-cut-at-16",
    "max-output",
    request=lambda s, b: (
        b.update(max_tokens=min(40, b["max_tokens"])) if b["max_tokens"] > 300 else None
    ),
)


# --- load, languages ----------------------------------------------------------------------------


def _mixed(server: Server, body: Body, reply: model.Reply) -> None:
    with server.lock:
        other = server.memory.get("last")
        server.memory["last"] = reply.content
    if other and "-" in reply.content and "-" in other:
        reply.content = other


def _loses_some(server: Server, method: str, path: str, data: bytes, headers: Any) -> Any:
    if method != "POST" or b"exactly" not in data:
        return None
    with server.lock:
        server.memory["count"] = server.memory.get("count", 0) + 1
        lose = server.memory["count"] == 3
    return (0, "") if lose else None


def _refuses_beyond(server: Server, method: str, path: str, data: bytes, headers: Any) -> Any:
    if method != "POST" or b"exactly" not in data:
        return None
    with server.lock:
        server.memory["count"] = server.memory.get("count", 0) + 1
        over = server.memory["count"] > 6
    return (503, ERROR) if over else None


def _keeps_seat(server: Server, body: Body) -> None:
    """Computes on for a client that is gone: the seat is free only after the whole time."""
    if body.get("stream") and "very long" in str(body["messages"][-1]["content"]):
        server.memory["busy"] = time.monotonic() + 8
    elif time.monotonic() < server.memory.get("busy", 0) and not body.get("stream"):
        server.hang.wait(max(0.0, server.memory["busy"] - time.monotonic()))


defect("answers-mixed", "concurrency", reply=_mixed)
defect("request-lost", "concurrency", route=_loses_some)
defect("503-beyond-seats", "over-capacity", route=_refuses_beyond)
defect("place-kept", "disconnect", request=_keeps_seat)
defect(
    "chinese-as-question-marks",
    "chinese",
    payload=payload(
        lambda p, b: (
            message(p)["content"]
            and message(p).update(content=re.sub(r"[^\x00-\x7f]", "?", message(p)["content"]))
        )
    ),
)
defect(
    "emoji-lost",
    "echo-unicode",
    payload=payload(
        lambda p, b: (
            message(p)["content"]
            and message(p).update(content=re.sub(r"[^\x00-\x7f]", "\ufffd", message(p)["content"]))
        )
    ),
)


# --- Anthropic's dialect ------------------------------------------------------------------------

MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "tiny-ernie",
    "content": [{"type": "text", "text": "Hello!"}],
    "stop_reason": "end_turn",
}

defect(
    "messages-without-usage", "messages", route=path_answers("/v1/messages", 200, MESSAGE, "POST")
)
defect(
    "count-tokens-differs",
    "count-tokens",
    route=path_answers("/v1/messages/count_tokens", 200, {"input_tokens": 1}, "POST"),
)
