"""A stream in Anthropic's dialect, event by event.

Order: https://docs.anthropic.com/en/api/messages-streaming (message_start, content blocks that open
and close, message_delta, message_stop; ping anywhere).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from launcher.json_values import JsonObject, JsonValue, at, object_at
from launcher.probe.bounded_json import loads
from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT, GREETING
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.wire import listen
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import REJECTED, Session

REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use")
FREE = ("ping", "error")


@check(
    "messages-stream",
    "a stream of messages has all its events in order",
    tags="dialect",
    needs="anthropic",
    via="http",
)
def messages_stream(session: Session) -> Outcome:
    """A whole answer and one that is cut; message_stop is the last event of both."""
    total = 0
    for question, limit, reasons in (
        (GREETING, session.target.budget, REASONS),
        (COUNT, 8, ("max_tokens",)),
    ):
        events = _events(session, question, limit)
        total += len(events)
        _judge(session, [e for e in events if e.get("type") not in FREE], reasons)
    return session.outcome(f"{total} events in order")


def _events(session: Session, question: str, limit: int) -> list[JsonObject]:
    endpoint = replace(session.target.endpoint, dialect="anthropic")
    body = messages_dialect.request(session.body(question, stream=True, max_tokens=limit))
    stream = listen(
        endpoint.chat_url,
        headers={**endpoint.all_headers(), "Accept": "text/event-stream"},
        body=endpoint.addressed(body),
        deadline=session.deadline(),
        log=session.log,
    )
    if stream.status in REJECTED and not session.promised():
        raise could_not_check(f"the server has no messages (HTTP {stream.status})")
    session.require(stream.status == 200, "status", "status 200", f"HTTP {stream.status}")
    kind = stream.headers.get("content-type", "")
    session.require("text/event-stream" in kind, "no-stream", "text/event-stream", kind)
    session.expect(not stream.trailing, "stream-cut", "an end at an event's end", stream.trailing)
    events: list[JsonObject] = []
    for _, data in stream.events:
        if data == "[DONE]":
            continue
        try:
            event: JsonValue = loads(data, strict=False)
        except ValueError:
            event = None
        session.require(isinstance(event, Mapping), "event-broken", "JSON in every event", data)
        events.append(object_at(event))
    return events


def _judge(session: Session, events: list[JsonObject], reasons: tuple[str, ...]) -> None:
    names = [str(e.get("type")) for e in events]
    session.require(bool(names), "empty-answer", "events", "none")
    session.expect(names[0] == "message_start", "messages-order", "message_start first", names[0])
    session.expect(names[-1] == "message_stop", "stream-done", "message_stop last", names[-1])
    for name in ("message_start", "message_stop", "message_delta"):
        count = names.count(name)
        is_valid = count == 1 or (name == "message_delta" and count > 1)
        session.expect(is_valid, "messages-order", f"one {name}", count)
    _blocks(session, events)
    deltas = [e for e in events if e.get("type") == "message_delta"]
    stop_reasons = [r for e in deltas if (r := at(e, "delta", "stop_reason"))]
    session.expect(
        len(stop_reasons) == 1 and stop_reasons[0] in reasons,
        "stream-finish",
        f"one stop_reason of {', '.join(reasons)}",
        stop_reasons,
    )
    start = next((object_at(e, "message") for e in events if e.get("type") == "message_start"), {})
    session.expect(bool(start.get("id")), "no-id", "an id in message_start", start.get("id"))
    role = start.get("role")
    session.expect(role == "assistant", "role", "role assistant in message_start", role)


def _blocks(session: Session, events: list[JsonObject]) -> None:
    """Every block opens once, gets its deltas while it is open, and closes once."""
    opened: set[str] = set()
    closed: set[str] = set()
    text = False
    for event in events:
        name, index = event.get("type"), str(event.get("index"))
        if name == "content_block_start":
            is_new = index not in opened
            opened.add(index)
        elif name in ("content_block_delta", "content_block_stop"):
            is_new = index in opened and index not in closed
            text = text or len(object_at(event, "delta")) > 1
            if name == "content_block_stop":
                closed.add(index)
        elif name in ("message_delta", "message_stop"):
            is_new = opened == closed
        else:
            is_new = name == "message_start"
        session.expect(
            is_new, "messages-order", f"{name} of block {index} in its place", dict(event)
        )
    session.expect(text, "empty-answer", "a block with text", f"{len(opened)} blocks")
    session.expect(
        sorted(opened) == [str(i) for i in range(len(opened))],
        "messages-index",
        "blocks 0, 1 ...",
        sorted(opened),
    )
