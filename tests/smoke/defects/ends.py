"""Stops, limits, schemas, log-probabilities and calls that are wrong in one form only."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.smoke.defects.planting import (
    Events,
    Payload,
    defect,
    delta_of,
    deltas,
    message,
    payload,
    pieces,
)
from tests.smoke.servers import Body, Event, Server


def _when_streamed(change: Callable[[Body], object]) -> Callable[[Server, Body], object]:
    return lambda server, body: change(body) if body.get("stream") else None


def _first_stop_only(server: Server, body: Body) -> None:
    if isinstance(body.get("stop"), list):
        body["stop"] = body["stop"][:1]


def _text_stop_ignored(server: Server, body: Body) -> None:
    if isinstance(body.get("stop"), str):
        body["stop"] = None


def _three_at_most(server: Server, body: Body) -> None:
    if isinstance(body.get("stop"), list):
        body["stop"] = body["stop"][:3]


def _prefix_leaks(events: list[Event], body: Body) -> list[Event]:
    """What was held back while the stop string was awaited is sent after all."""
    stop = body.get("stop")
    where = pieces(events)
    if stop and where:
        word = (stop if isinstance(stop, str) else stop[-1])[0]
        delta_of(events[where[-1]])["content"] += word
    return events


def _prefix_leaks_plain(p: Body, b: Body) -> None:
    stop = b.get("stop")
    longest = max(([stop] if isinstance(stop, str) else stop or [""]), key=len)
    if len(longest) > 1 and message(p)["content"]:
        message(p)["content"] += longest[:-1]


def _only_single_characters(server: Server, body: Body) -> None:
    stop = body.get("stop") or []
    body["stop"] = [s for s in ([stop] if isinstance(stop, str) else stop) if len(s) == 1]


defect("stop-ignored-in-streams", "stop-forms", request=_when_streamed(lambda b: b.pop("stop", 0)))
defect("first-stop-only", "stop-forms", request=_first_stop_only)
defect("three-stops-at-most", "stop-forms", request=_three_at_most)
defect("stop-as-text-ignored", "stop-forms", request=_text_stop_ignored)
defect("long-stop-ignored", "stop-forms", request=_only_single_characters)
defect("stop-prefix-leaks-in-streams", "stop-forms", events=deltas(_prefix_leaks))
defect("stop-prefix-leaks", "stop-forms", payload=payload(_prefix_leaks_plain))
defect(
    "max-completion-tokens-ignored",
    "max-completion-tokens",
    request=lambda s, b: b.pop("max_completion_tokens", None) and None,
)
defect(
    "max-completion-tokens-ignored-in-streams",
    "max-completion-tokens",
    request=_when_streamed(lambda b: b.pop("max_completion_tokens", None)),
)
defect(
    "schema-ignored-in-streams",
    "json-schema",
    request=_when_streamed(
        lambda b: (
            (b.get("response_format") or {}).get("type") == "json_schema"
            and b.pop("response_format")
        )
    ),
)


def _entries(p: Body) -> list[Body]:
    entries: list[Body] = (p["choices"][0].get("logprobs") or {}).get("content") or []
    return entries


def _rotated(p: Body, b: Body) -> None:
    entries = _entries(p)
    if entries:
        p["choices"][0]["logprobs"]["content"] = [*entries[1:], entries[0]]


def _tops_rotated(p: Body, b: Body) -> None:
    entries = _entries(p)
    tops = [e["top_logprobs"] for e in entries]
    for entry, top in zip(entries, [*tops[1:], *tops[:1]], strict=True):
        entry["top_logprobs"] = top


def _numbers_shifted(p: Body, b: Body) -> None:
    for entry in _entries(p):
        entry["logprob"] -= 0.5


def _stream_entries(
    change: Callable[[list[Body]], list[Body]],
) -> Events:
    def hook(events: list[Event], body: Body) -> list[Event]:
        kept = [
            c
            for e in events
            for c in (e["choices"] if isinstance(e, dict) else [])
            if c.get("logprobs")
        ]
        for choice, changed in zip(kept, change([c["logprobs"] for c in kept]), strict=False):
            choice["logprobs"] = changed
        return events

    return deltas(hook)


defect(
    "logprobs-bytes-wrong",
    "logprobs-tokens",
    payload=payload(lambda p, b: [e.update(bytes=[63]) for e in _entries(p)]),
)
defect(
    "logprobs-bytes-as-text",
    "logprobs-tokens",
    payload=payload(lambda p, b: [e.update(bytes=e["token"]) for e in _entries(p)]),
)
defect("logprobs-shifted", "logprobs-tokens", payload=payload(_rotated))
defect("logprobs-alternatives-shifted", "logprobs-tokens", payload=payload(_tops_rotated))
defect("logprobs-numbers-shifted", "logprobs-tokens", payload=payload(_numbers_shifted))
defect(
    "logprobs-missing-in-streams",
    "logprobs-tokens",
    request=_when_streamed(lambda b: b.pop("logprobs", None)),
)
defect(
    "logprobs-shifted-in-streams",
    "logprobs-tokens",
    events=_stream_entries(lambda entries: [*entries[1:], *entries[:1]]),
)
defect(
    "logprobs-one-lost",
    "logprobs-tokens",
    payload=payload(
        lambda p, b: _entries(p) and p["choices"][0]["logprobs"].update(content=_entries(p)[:-1])
    ),
)


def _call(change: Callable[[Body], object]) -> Payload:
    return payload(lambda p, b: [change(c) for c in message(p).get("tool_calls") or []])


defect(
    "call-in-content-too",
    "tool-call",
    payload=payload(
        lambda p, b: (
            message(p)["tool_calls"]
            and message(p).update(content=json.dumps(message(p)["tool_calls"][0]["function"]))
        )
    ),
)
defect(
    "call-in-content-too-in-streams",
    "tool-call-stream",
    events=deltas(
        lambda events, b: [
            x
            for i, e in enumerate(events)
            for x in (
                [_with_content(e, '{"name": "get_weather", "arguments": {}}'), e]
                if pieces(events, "tool_calls")[:1] == [i]
                else [e]
            )
        ]
    ),
)
defect(
    "tool-arguments-twice-encoded",
    "tool-call",
    payload=_call(lambda c: c["function"].update(arguments=json.dumps(c["function"]["arguments"]))),
)
defect(
    "tool-arguments-cut-at-24",
    "tool-call",
    payload=_call(lambda c: c["function"].update(arguments=c["function"]["arguments"][:24])),
)
defect("tool-id-empty", "tool-call", payload=_call(lambda c: c.update(id="")))
defect("tool-id-of-all-requests", "every-answer", payload=_call(lambda c: c.update(id="call_1")))
defect("tool-type-missing", "every-answer", payload=_call(lambda c: c.pop("type")))


def _with_content(event: Event, text: str) -> Body:
    copy: Body = json.loads(json.dumps(event))
    copy["choices"][0]["delta"] = {"content": text}
    return copy


def _streamed_call(change: Callable[[Body, int], object]) -> Events:
    def hook(events: list[Event], body: Body) -> list[Event]:
        for number, i in enumerate(pieces(events, "tool_calls")):
            change(delta_of(events[i])["tool_calls"][0], number)
        return events

    return deltas(hook)


defect("tool-index-one", "every-answer", events=_streamed_call(lambda c, i: c.update(index=1)))
defect(
    "tool-id-on-every-piece",
    "every-answer",
    events=_streamed_call(lambda c, i: c.update(id=f"call_{i}", type="function")),
)
defect(
    "tool-name-on-every-piece",
    "tool-call-stream",
    events=_streamed_call(lambda c, i: c["function"].update(name="get_weather")),
)
defect(
    "tool-unit-differs-in-streams",
    "tool-call-stream",
    reply=lambda s, b, r: (
        b.get("stream")
        and [c.update(arguments=c["arguments"].replace('"c"', '"f"')) for c in r.calls]
        and None
    ),
)


def _interleaved(events: list[Event], body: Body) -> list[Event]:
    """Pieces of two calls, all under the index of the first."""
    for i in pieces(events, "tool_calls"):
        call = delta_of(events[i])["tool_calls"][0]
        if "name" not in call["function"]:
            call["index"] = 0
    return events


defect("pieces-of-two-calls-mixed", "tool-parallel", events=deltas(_interleaved))


def _choices_swapped(events: list[Event], body: Body) -> list[Event]:
    for event in events:
        for choice in event["choices"] if isinstance(event, dict) else []:
            choice["index"] = (choice["index"] + 1) if body.get("n", 1) > 1 else choice["index"]
    return events


defect("choices-from-one-in-streams", "n-stream", events=deltas(_choices_swapped))
defect("n-ignored-in-streams", "n-stream", request=_when_streamed(lambda b: b.pop("n", None)))


def _drawn_at_zero(server: Server, body: Body) -> None:
    if body.get("temperature") == 0:
        body["temperature"] = 1


defect("temperature-0-draws", "greedy", request=_drawn_at_zero)


def _cut_inside(c: Body) -> None:
    """Cut at 128 characters and closed again: JSON, but not the whole."""
    text = c["function"]["arguments"]
    if len(text) > 128:
        c["function"]["arguments"] = json.dumps({"text": json.loads(text)["text"][:128]})


defect(
    "tool-arguments-cut-at-128",
    "tool-arguments",
    payload=_call(lambda c: c["function"].update(arguments=c["function"]["arguments"][:128])),
)
defect("tool-arguments-cut-inside", "tool-arguments", payload=_call(_cut_inside))
defect(
    "tool-arguments-lose-emoji-in-streams",
    "tool-arguments",
    events=_streamed_call(
        lambda c, i: c["function"].update(
            arguments=c["function"].get("arguments", "").replace("🙂", "\ufffd")
        )
    ),
)
