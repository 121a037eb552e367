"""How a fault is planted: the table, and the hooks most faults share."""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message
from typing import TYPE_CHECKING, TypedDict

from tests.smoke import model
from tests.smoke.servers import Body, Defect, Event, Handler, RouteAnswer, Server

if TYPE_CHECKING:
    from typing_extensions import Unpack

DEFECTS: dict[str, Defect] = {}

Payload = Callable[[Server, Body, Body], object]
Events = Callable[[Server, Body, list[Event]], list[Event]]
Route = Callable[[Server, str, str, bytes, Message], RouteAnswer | None]


class Hooks(TypedDict, total=False):
    """The hooks of a `Defect`, as far as one is planted."""

    request: Callable[[Server, Body], object]
    reply: Callable[[Server, Body, model.Reply], object]
    payload: Payload
    events: Events
    route: Route
    pause: Callable[[int], float]
    wire: Callable[[Server, Body, bytes], bytes]
    body: Callable[[Server, Handler, bytes], bytes]


def defect(name: str, check: str, **hooks: Unpack[Hooks]) -> None:
    """Plant one more."""
    DEFECTS[name] = Defect(name, check, **hooks)


def message(payload: Body) -> Body:
    """The message of a plain answer."""
    message_: Body = payload["choices"][0]["message"]
    return message_


def payload(change: Callable[[Body, Body], object]) -> Payload:
    """A hook that changes plain answers: change(payload, request)."""
    return lambda server, body, answer: change(answer, body)


def deltas(change: Callable[[list[Event], Body], list[Event]]) -> Events:
    """A hook that changes streams: change(events, request) -> events."""
    return lambda server, body, events: change(events, body)


def path_answers(path: str, status: int, body: Body | str, method: str = "GET") -> Route:
    """A hook that gives one route another answer."""
    return lambda server, m, p, data, headers: (status, body) if (m, p) == (method, path) else None


def pieces(events: list[Event], field: str = "content") -> list[int]:
    """The positions of the chunks that carry text in `field`."""
    return [
        i
        for i, e in enumerate(events)
        if isinstance(e, dict) and e["choices"] and delta_of(e).get(field)
    ]


def choice_of(event: Event) -> Body:
    """The first choice of a chunk."""
    assert isinstance(event, dict)
    choice: Body = event["choices"][0]
    return choice


def delta_of(event: Event) -> Body:
    """What a chunk adds to its first choice."""
    delta: Body = choice_of(event)["delta"]
    return delta


def chunks_of(events: list[Event]) -> list[Body]:
    """The chunks among the events."""
    return [event for event in events if isinstance(event, dict)]


def text_in(event: Event, field: str = "content") -> str:
    """The text of a chunk."""
    return str(delta_of(event)[field])
