"""Answers of other requests, of other models, of caches; prompts of which a part is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from tests.smoke import model
from tests.smoke.defects.planting import Payload, defect, deltas, message, payload
from tests.smoke.servers import Body, Event, Handler, Server


def _first_of_connection(server: Server, handler: Handler, data: bytes) -> bytes:
    """The second answer on a connection is the first one's."""
    if b'"chat.completion"' not in data:
        return data
    kept: bytes = vars(handler).setdefault("first", data)
    return kept


def _one_late(server: Server, handler: Handler, data: bytes) -> bytes:
    """On a kept connection every answer is that of the request before."""
    if b'"chat.completion"' not in data:
        return data
    before = vars(handler).get("before", data)
    vars(handler)["before"] = data
    return bytes(before)


def _text_one_late(server: Server, body: Body, reply: model.Reply) -> None:
    """Every client gets the answer to the question before, with the right counts."""
    with server.lock:
        before = server.memory.get("before", reply.content)
        server.memory["before"] = reply.content
    if not reply.calls:
        reply.content = before


def _cached(key: Callable[[Body], str]) -> Payload:
    """Whole answers from a cache with a careless key."""

    def hook(server: Server, body: Body, answer: Body) -> None:
        with server.lock:
            kept = server.memory.setdefault("cache", {}).setdefault(key(body), dict(answer))
        answer.update(json.loads(json.dumps(kept)))

    return hook


def _mixed_without_markers(server: Server, body: Body, reply: model.Reply) -> None:
    """While several are answered, each gets what another was told; markers are not repeated."""
    reply.content = (
        "An apple." if "exactly" in str(body["messages"][-1]["content"]) else (reply.content)
    )
    waiting = server.memory.setdefault("waiting", [])
    gate = server.memory.setdefault("gate", threading.Event())
    with server.lock:
        waiting.append(reply)
        busy = len(waiting)
    gate.wait(0.02)
    with server.lock:
        if busy > 1 and len(waiting) > 1:
            different = [r for r in waiting if r.content != reply.content]
            if different:
                reply.content, different[0].content = different[0].content, reply.content
        waiting.remove(reply)


def _messages(change: Callable[[list[Body]], list[Body]]) -> Callable[[Server, Body], object]:
    return lambda server, body: body.update(messages=change(body["messages"]))


def _last_turns(count: int) -> Callable[[list[Body]], list[Body]]:
    def kept(messages: list[Body]) -> list[Body]:
        system = [m for m in messages if m["role"] == "system"]
        return [*system, *[m for m in messages if m["role"] != "system"][-count:]]

    return kept


def _named(name: str) -> Payload:
    return payload(lambda p, b: p.update(model=name))


def _named_in_stream(events: list[Event], body: Body) -> list[Event]:
    for event in events[len(events) // 2 :]:
        if isinstance(event, dict):
            event["model"] = "gpt-4o"
    return events


defect("first-answer-of-the-connection", "keep-alive", body=_first_of_connection)
defect("one-answer-late-on-a-connection", "keep-alive", body=_one_late)
defect("one-answer-late", "own-answer", reply=_text_one_late)
defect(
    "echo-server",
    "own-answer",
    reply=lambda s, b, r: setattr(r, "content", str(b["messages"][-1]["content"])),
)
defect(
    "echo-server-under-load",
    "concurrency",
    reply=lambda s, b, r: setattr(r, "content", str(b["messages"][-1]["content"])),
)
defect(
    "one-answer-for-all",
    "own-answer",
    reply=lambda s, b, r: setattr(r, "content", "I am a small program."),
)
defect("mixed-although-no-marker-is-repeated", "concurrency", reply=_mixed_without_markers)
defect(
    "cache-by-the-first-64-characters",
    "whole-prompt",
    payload=_cached(lambda b: str(b["messages"][-1]["content"])[:64]),
)
defect(
    "cache-by-the-last-message",
    "whole-prompt",
    payload=_cached(lambda b: str(b["messages"][-1]["content"])),
)
defect("cache-by-the-model", "own-answer", payload=_cached(lambda b: str(b["model"])))
defect("cache-without-the-parameters", "stop-forms", payload=_cached(lambda b: str(b["messages"])))
defect(
    "system-prompt-not-counted",
    "whole-prompt",
    request=_messages(lambda m: [x for x in m if x["role"] != "system"]),
)
defect("history-cut-after-two-turns", "whole-prompt", request=_messages(_last_turns(5)))
defect("only-the-last-message", "whole-prompt", request=_messages(_last_turns(1)))
defect(
    "oldest-turn-dropped",
    "whole-prompt",
    request=_messages(lambda m: m if len(m) < 9 else [*m[:1], *m[3:]]),
)
defect(
    "prompt-cut-at-the-end",
    "whole-prompt",
    request=_messages(lambda m: [{**m[-1], "content": m[-1]["content"][:170]}]),
)
defect(
    "parts-not-read",
    "content-parts",
    route=lambda s, m, p, d, h: (
        s.memory.update(parts=b'"type": "text"' in d or b'"type":"text"' in d) if d else None
    ),
    request=lambda s, b: s.memory.get("parts") and b["messages"][-1].update(content=""),
)
defect("another-model", "every-answer", payload=_named("gpt-4o"))
defect("another-model-in-a-stream", "every-answer", events=deltas(_named_in_stream))
defect("no-model-named", "every-answer", payload=payload(lambda p, b: p.pop("model")))
defect(
    "thought-in-content-on-turn-two",
    "reasoning-turns",
    payload=payload(
        lambda p, b: (
            len(b["messages"]) > 2
            and message(p).get("reasoning_content")
            and message(p).update(
                content=f"{message(p)['reasoning_content']}\n{message(p)['content']}",
                reasoning_content=None,
            )
        )
    ),
)
defect(
    "thought-in-content-with-tools",
    "reasoning-turns",
    payload=payload(
        lambda p, b: (
            b.get("tools")
            and message(p).get("content")
            and message(p).update(
                content=f"{message(p)['reasoning_content']}\n{message(p)['content']}",
                reasoning_content=None,
            )
        )
    ),
)


def _merged_after_result(events: list[Event], body: Body) -> list[Event]:
    if body["messages"][-1]["role"] == "tool":
        for event in events:
            if isinstance(event, dict) and event["choices"]:
                delta = event["choices"][0]["delta"]
                if "reasoning_content" in delta:
                    delta["content"] = delta.pop("reasoning_content")
    return events


defect("thought-in-content-after-a-result", "reasoning-turns", events=deltas(_merged_after_result))
defect(
    "think-tag-after-a-result",
    "reasoning-turns",
    payload=payload(
        lambda p, b: (
            b["messages"][-1]["role"] == "tool"
            and message(p).update(
                content=f"{message(p)['reasoning_content']}</think>{message(p)['content']}",
                reasoning_content=None,
            )
        )
    ),
)
