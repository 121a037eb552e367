"""Many requests, and languages."""

from __future__ import annotations

import re
import time
from email.message import Message

from tests.smoke import model
from tests.smoke.defects.planting import (
    defect,
    message,
    payload,
)
from tests.smoke.defects.routes import ERROR
from tests.smoke.servers import Body, RouteAnswer, Server


def _mixed(server: Server, body: Body, reply: model.Reply) -> None:
    with server.lock:
        last = server.memory.get("last")
        server.memory["last"] = reply.content
    if last and "-" in reply.content and "-" in last:
        reply.content = last


def _loses_some(
    server: Server, method: str, path: str, data: bytes, headers: Message
) -> RouteAnswer | None:
    if method != "POST" or b"exactly" not in data:
        return None
    with server.lock:
        server.memory["count"] = server.memory.get("count", 0) + 1
        lose = server.memory["count"] == 3
    return (0, "") if lose else None


def _refuses_beyond(
    server: Server, method: str, path: str, data: bytes, headers: Message
) -> RouteAnswer | None:
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
