"""Anthropic's dialect."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.smoke.defects.planting import (
    Events,
    defect,
    path_answers,
)
from tests.smoke.servers import Body, Event, Server

MESSAGE: Body = {
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


def _events(change: Callable[[list[Body]], list[Body]]) -> Events:
    """A hook that changes the events of a Messages stream."""

    def hook(server: Server, body: Body, events: list[Event]) -> list[Event]:
        sent = [e for e in events if isinstance(e, bytes)]
        if not sent:
            return events
        parsed = [json.loads(e.split(b"data: ", 1)[1]) for e in sent]
        return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in change(parsed)]

    return hook


def _without(name: str) -> Events:
    return _events(lambda events: [e for e in events if e["type"] != name])


defect("no-message-stop", "messages-stream", events=_without("message_stop"))
defect("no-message-start", "messages-stream", events=_without("message_start"))
defect("no-message-delta", "messages-stream", events=_without("message_delta"))
defect("blocks-never-closed", "messages-stream", events=_without("content_block_stop"))
defect("blocks-never-opened", "messages-stream", events=_without("content_block_start"))
defect(
    "blocks-all-zero",
    "messages-stream",
    events=_events(lambda events: [{**e, "index": 0} if "index" in e else e for e in events]),
)
defect(
    "stop-before-the-last-delta",
    "messages-stream",
    events=_events(lambda events: [*events[:-2], events[-1], events[-2]]),
)
