"""Streams that are cut, swapped, doubled, late or leak tags."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

from tests.smoke.defects.planting import (
    defect,
    delta_of,
    deltas,
    pieces,
    text_in,
)
from tests.smoke.servers import DONE, Body, Event


def _swapped(events: list[Event], body: Body) -> list[Event]:
    where = [i for i in pieces(events) if re.fullmatch(r"\s*\d", text_in(events[i]))]
    if len(where) > 6:
        a, b = where[2], where[5]
        events[a], events[b] = events[b], events[a]
    return events


def _cut_in_two(events: list[Event], body: Body) -> list[Event]:
    rebuilt: list[Event] = []
    for event in events:
        text = text_in(event) if pieces([event]) else ""
        if "🙂" in text or "从" in text:
            for half in (text.replace("🙂", "\ufffd").replace("从", "\ufffd"), "\ufffd"):
                copy = json.loads(json.dumps(event))
                copy["choices"][0]["delta"]["content"] = half
                rebuilt.append(copy)
        else:
            rebuilt.append(event)
    return rebuilt


def _bytes_cut(events: list[Event], body: Body) -> list[Event]:
    rebuilt: list[Event] = []
    for event in events:
        data = f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        cut = data.find("🙂".encode())
        rebuilt.append(data[: cut + 2] + data[cut + 4 :] if cut >= 0 else event)
    return rebuilt


def _one_lost(events: list[Event], body: Body) -> list[Event]:
    where = pieces(events)
    if where:
        del events[where[len(where) // 2]]
    return events


def _doubled(events: list[Event], body: Body) -> list[Event]:
    where = pieces(events)
    if where:
        events.insert(where[0], events[where[0]])
    return events


def _without(kind: str) -> Callable[[list[Event], Body], list[Event]]:
    def change(events: list[Event], body: Body) -> list[Event]:
        if kind == "done":
            return [e for e in events if e != DONE]
        if kind == "usage":
            return [e for e in events if not (isinstance(e, dict) and e.get("usage"))]
        for event in events:
            if isinstance(event, dict) and event["choices"]:
                event["choices"][0].pop("finish_reason")
        return events

    return change


def _reasoning_last(events: list[Event], body: Body) -> list[Event]:
    thoughts = [events[i] for i in pieces(events, "reasoning_content")]
    content_events = [events[i] for i in pieces(events)]
    rest = [e for e in events if e not in thoughts and e not in content_events]
    return [rest[0], *content_events, *thoughts, *rest[1:]]


def _usage_first(events: list[Event], body: Body) -> list[Event]:
    with_usage = [e for e in events if isinstance(e, dict) and e.get("usage")]
    return [*with_usage, *[e for e in events if e not in with_usage]]


def _new_ids(events: list[Event], body: Body) -> list[Event]:
    for number, event in enumerate(events):
        if isinstance(event, dict):
            event["id"] = f"chatcmpl-{number}"
    return events


def _text_after_end(events: list[Event], body: Body) -> list[Event]:
    where = pieces(events)
    if where:
        events.insert(len(events) - 1, events[where[-1]])
    return events


def _tags_streamed(events: list[Event], body: Body) -> list[Event]:
    where = pieces(events)
    if where:
        first = delta_of(events[where[0]])
        first["content"] = f"<response>{first['content']}"
    return events


def _miscounted(events: list[Event], body: Body) -> list[Event]:
    for event in events:
        if isinstance(event, dict) and event.get("usage"):
            event["usage"]["completion_tokens_details"]["reasoning_tokens"] += 13
    return events


def _merged(events: list[Event], body: Body) -> list[Event]:
    """Reasoning streamed as content."""
    for i in pieces(events, "reasoning_content"):
        delta = delta_of(events[i])
        delta["content"] = delta.pop("reasoning_content")
    return events


def _generated_first(events: list[Event], body: Body) -> list[Event]:
    time.sleep(0.006 * len(events))
    return events


def _event_broken(events: list[Event], body: Body) -> list[Event]:
    where = pieces(events)
    return [*events[: where[0]], b"data: {'choices': None}\n\n", *events[where[0] :]]


def _emoji_dropped(events: list[Event], body: Body) -> list[Event]:
    """Half characters at a piece's end are thrown away: nothing is cut, but they are gone."""
    for i in pieces(events):
        delta = delta_of(events[i])
        delta["content"] = re.sub("[\U00010000-\U0010ffff]", "", delta["content"])
    return events


def _cut_off(events: list[Event], body: Body) -> list[Event]:
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
defect("event-not-json", "stream-end", events=deltas(_event_broken))
defect("emoji-dropped", "stream-equals-plain", events=deltas(_emoji_dropped))
defect("bytes-cut", "stream-bytes", events=deltas(_bytes_cut))
defect("generated-then-sent", "stream-timing", events=deltas(_generated_first), pause=lambda i: 0.0)
defect("hang-after-first-token", "stream-timing", pause=lambda i: 600.0 if i == 4 else 0.001)
defect(
    "output-cut-at-16",
    "max-output",
    request=lambda s, b: (
        b.update(max_tokens=min(40, b["max_tokens"])) if b["max_tokens"] > 300 else None
    ),
)
