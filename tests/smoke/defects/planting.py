"""How a fault is planted: the table, and the hooks most faults share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.smoke.servers import Body, Defect, Server

DEFECTS: dict[str, Defect] = {}


def defect(name: str, check: str, **hooks: Any) -> None:
    """Plant one more."""
    DEFECTS[name] = Defect(name, check, **hooks)


def message(payload: Body) -> Body:
    """The message of a plain answer."""
    message_: Body = payload["choices"][0]["message"]
    return message_


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
