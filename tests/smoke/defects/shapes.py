"""Answers of the wrong shape, everywhere or now and then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tests.smoke.defects.planting import (
    Events,
    Payload,
    chunks_of,
    defect,
    deltas,
    message,
    payload,
    pieces,
)
from tests.smoke.servers import DONE, Body, Event, Handler, Server
from tests.support.waiting import slowness


def _choice(**changes: object) -> Payload:
    return payload(lambda p, b: p["choices"][0].update(changes))


def _now_and_then(change: Callable[[list[Event]], list[Event]], every: int = 5) -> Events:
    def hook(server: Server, body: Body, events: list[Event]) -> list[Event]:
        with server.lock:
            server.memory["streams"] = server.memory.get("streams", 0) + 1
            due = server.memory["streams"] % every == 0
        return change(events) if due else events

    return hook


def _emptied(events: list[Event]) -> list[Event]:
    where = {*pieces(events), *pieces(events, "reasoning_content")}
    return [e for i, e in enumerate(events) if i not in where]


def _head(**changes: object) -> Events:
    def change(events: list[Event], body: Body) -> list[Event]:
        for event in events:
            if isinstance(event, dict):
                event.update(changes)
        return events

    return deltas(change)


def _each_choice(change: Callable[[Body], object]) -> Events:
    def hook(events: list[Event], body: Body) -> list[Event]:
        for event in events:
            for choice in event["choices"] if isinstance(event, dict) else []:
                change(choice)
        return events

    return deltas(hook)


def _repeated_end(events: list[Event], body: Body) -> list[Event]:
    ends = [e for e in events if isinstance(e, dict) and e["choices"]]
    return [*events[: events.index(ends[-1])], ends[-1], *events[events.index(ends[-1]) :]]


def _usage_twice(events: list[Event], body: Body) -> list[Event]:
    return [e for e in events for _ in range(2 if isinstance(e, dict) and e.get("usage") else 1)]


def _usage(**more: int) -> Payload:
    def change(p: Body, b: Body) -> None:
        for name, amount in more.items():
            p["usage"][name] += amount

    return payload(change)


def _stream_usage(**more: int) -> Events:
    def change(events: list[Event], body: Body) -> list[Event]:
        for event in events:
            if isinstance(event, dict) and event.get("usage"):
                event["usage"] = {**event["usage"]}
                for name, amount in more.items():
                    event["usage"][name] += amount
        return events

    return deltas(change)


def _parts(p: Body, b: Body) -> None:
    message(p)["content"] = [{"type": "text", "text": message(p)["content"] or ""}]


def _parts_in_stream(choice: Body) -> None:
    if choice["delta"].get("content"):
        choice["delta"]["content"] = [{"type": "text", "text": choice["delta"]["content"]}]


def _done_early(events: list[Event], body: Body) -> list[Event]:
    rest = [e for e in events if e != DONE]
    return [*rest[:-2], DONE, *rest[-2:]]


def _data_after_done(events: list[Event], body: Body) -> list[Event]:
    return [*events, b'data: {"choices": []}\n\n']


def _as_plain_text(server: Server, handler: Handler, data: bytes) -> bytes:
    handler.kind = "text/plain"
    return data


def _ms() -> int:
    return int(time.time() * 1000)


defect("content-as-parts", "every-answer", payload=payload(_parts))
defect("content-as-parts-in-stream", "every-answer", events=_each_choice(_parts_in_stream))
defect("stream-empty-now-and-then", "every-answer", events=_now_and_then(_emptied))
defect(
    "no-done-now-and-then",
    "every-answer",
    events=_now_and_then(lambda e: [x for x in e if x != DONE]),
)
defect(
    "no-usage-now-and-then",
    "every-answer",
    events=_now_and_then(lambda e: [x for x in e if not (isinstance(x, dict) and x.get("usage"))]),
)
defect("created-in-ms", "every-answer", payload=payload(lambda p, b: p.update(created=_ms())))
defect("created-in-ms-in-stream", "every-answer", events=_head(created=_ms()))
defect("created-as-text", "every-answer", payload=payload(lambda p, b: p.update(created="now")))
defect("object-wrong", "every-answer", payload=payload(lambda p, b: p.update(object="text")))
defect("object-wrong-in-stream", "every-answer", events=_head(object="chat.completion"))
defect("id-constant", "every-answer", payload=payload(lambda p, b: p.update(id="chatcmpl-1")))
defect("index-one", "every-answer", payload=_choice(index=1))
defect("index-one-in-stream", "every-answer", events=_each_choice(lambda c: c.update(index=1)))
defect("finish-reason-end", "every-answer", payload=_choice(finish_reason="eos"))
defect("finish-reason-null", "every-answer", payload=_choice(finish_reason=None))
defect("finish-calls-without-a-call", "every-answer", payload=_choice(finish_reason="tool_calls"))
defect("role-user", "every-answer", payload=payload(lambda p, b: message(p).update(role="user")))
defect(
    "role-missing-in-stream",
    "every-answer",
    events=_each_choice(lambda c: c["delta"].pop("role", None)),
)
defect("end-twice", "every-answer", events=deltas(_repeated_end))
defect("usage-twice", "every-answer", events=deltas(_usage_twice))
defect("completion-one-less", "every-answer", payload=_usage(completion_tokens=-1, total_tokens=-1))
defect(
    "completion-one-more",
    "every-answer",
    payload=_usage(completion_tokens=1, total_tokens=1),
)
defect(
    "prompt-one-more-in-stream",
    "every-answer",
    events=_stream_usage(prompt_tokens=1, total_tokens=1),
)
defect(
    "completion-one-more-in-stream",
    "stream-equals-plain",
    events=_stream_usage(completion_tokens=1, total_tokens=1),
)
defect("total-one-more-in-stream", "every-answer", events=_stream_usage(total_tokens=1))
defect("done-before-the-end", "stream-end", events=deltas(_done_early))
defect("data-after-done", "stream-end", events=deltas(_data_after_done))
defect(
    "done-twice",
    "stream-end",
    events=deltas(lambda e, b: [x for y in e for x in ([y] * (1 + (y == DONE)))]),
)
defect(
    "content-type-text",
    "keep-alive",
    body=_as_plain_text,
)
defect(
    "blanks-at-the-end-lost",
    "stream-equals-plain",
    payload=payload(
        lambda p, b: (
            message(p)["content"] and message(p).update(content=message(p)["content"] + "\n")
        )
    ),
)


def _lump(server: Server, body: Body, events: list[Event]) -> list[Event]:
    """Generates first, then writes the whole stream at once."""
    server.hang.wait(0.004 * len(events) * slowness())
    data = b"".join(
        f"data: {e if isinstance(e, str) else json.dumps(e)}\n\n".encode() for e in events
    )
    return [data]


defect(
    "short-answer-in-one-lump",
    "stream-timing",
    reply=lambda s, b, r: setattr(r, "content", "Yes, of course."),
    events=_lump,
    pause=lambda i: 0.0,
)


def _one_chunk(events: list[Event], body: Body) -> list[Event]:
    """A thought and an answer in one delta each."""
    chunks = [e for e in chunks_of(events) if e["choices"]]
    for field in ("reasoning_content", "content"):
        where = [e for e in chunks if e["choices"][0]["delta"].get(field)]
        if where:
            text = "".join(e["choices"][0]["delta"][field] for e in where)
            where[0]["choices"][0]["delta"][field] = text
            events = [e for e in events if not any(e is w for w in where[1:])]
    return events


defect("one-delta-a-field", "stream-timing", events=deltas(_one_chunk))
