"""Tool calls that are wrong, missing or not ordered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from tests.smoke import model
from tests.smoke.defects.planting import (
    Events,
    Payload,
    defect,
    deltas,
    message,
    payload,
    pieces,
)
from tests.smoke.servers import Body, Event, Server

P = ParamSpec("P")


def _calls(change: Callable[[Body], object]) -> Payload:
    def hook(server: Server, body: Body, answer: Body) -> None:
        for call in message(answer).get("tool_calls") or []:
            change(call)

    return hook


def _as_text(server: Server, body: Body, reply: model.Reply) -> None:
    if reply.calls and "response_format" not in body:
        text = json.dumps(reply.calls[0])
        reply.calls, reply.content = [], f"<tool_call>{text}</tool_call>"


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
    reply=lambda s, b, r: vars(r).update(calls=r.calls[:1]),
)
defect("parallel-ids-equal", "tool-parallel", payload=_calls(lambda c: c.update(id="call_1")))
defect(
    "needless-call",
    "tool-not-called",
    request=lambda s, b: b.get("tools") and b.update(tool_choice="required"),
)


def _order_ignored(kind: str) -> Callable[[Server, Body], object]:
    def hook(server: Server, body: Body) -> None:
        choice = body.get("tool_choice")
        if ("named" if isinstance(choice, dict) else choice) == kind:
            body["tool_choice"] = "auto"

    return hook


def _streamed_only(
    hook: Callable[Concatenate[Server, Body, P], object],
) -> Callable[Concatenate[Server, Body, P], object]:
    def changed(server: Server, body: Body, /, *rest: P.args, **more: P.kwargs) -> object:
        return hook(server, body, *rest, **more) if body.get("stream") else None

    return changed


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


def _tool_pieces(change: Callable[[list[int], list[Event]], object]) -> Events:
    def hook(events: list[Event], body: Body) -> list[Event]:
        where = pieces(events, "tool_calls")
        if where:
            change(where, events)
        return events

    return deltas(hook)


def _swap(where: list[int], events: list[Event]) -> None:
    a, b = where[3], where[5]
    events[a], events[b] = events[b], events[a]


def _drop_last(where: list[int], events: list[Event]) -> None:
    del events[where[-1]]


defect("tool-pieces-swapped", "tool-call-stream", events=_tool_pieces(_swap))
defect("tool-last-piece-lost", "tool-call-stream", events=_tool_pieces(_drop_last))
