"""What a scenario is: a fault, what it stands for, and its bar as data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from launcher.drill.bar import Bar
from launcher.json_values import JsonObject, at, text_at

if TYPE_CHECKING:
    from launcher.drill.feed import Feed
    from launcher.drill.load import Load
    from launcher.drill.subject import Subject
    from launcher.drill.undo import Undo
    from launcher.keeper.state import State

FAILED_VERDICTS = ("stalled", "dead")
"""Verdicts of liveness that say that the server does not work."""


class Course(Enum):
    """What has to happen after the fault."""

    RESTARTED = "restarted"
    """The keeper notices, and the engine is started again."""
    PAUSED = "paused"
    """The verdict is `paused` as long as the fault lasts; nothing is restarted."""
    UNDISTURBED = "undisturbed"
    """Nothing: the server works, and nothing may be called a failure or a stall."""
    STARTED_ANEW = "started anew"
    """The keeper is gone: the engine ends, and `up` cleans up and starts."""


@dataclass
class Fault:
    """A fault while it lasts; times are Unix seconds.

    `at` is the moment from which the detection counts, `begun` (where that was earlier) that from
    which on events and requests are looked at. `cleared_at` is that from which the restart counts
    where an obstacle was in its way.
    """

    at: float = 0.0
    begun: float | None = None
    cleared_at: float | None = None
    simulated: bool = False
    note: str = ""

    @property
    def since(self) -> float:
        """The moment from which on the keeper may have something to say."""
        return self.at if self.begun is None else self.begun


@dataclass(frozen=True)
class Stage:
    """All that a scenario works with. `state` is the instance's before the fault."""

    subject: Subject
    state: State
    feed: Feed
    load: Load
    undo: Undo


Inject = Callable[[Stage], AbstractContextManager[Fault]]


@dataclass(frozen=True)
class Scenario:
    """One fault.

    `action` says what is done, `simulates` what that stands for. `inject` makes the fault and takes
    it back at the end of its context. `obstacle` says why it cannot be made here, None where it
    can. `lasts` are the seconds that an UNDISTURBED course is watched, `watched_after` those after
    the fault is gone. `clients` of the drill's own run beside it.
    """

    name: str
    action: str
    simulates: str
    bar: Bar
    inject: Inject
    course: Course = Course.RESTARTED
    obstacle: Callable[[Subject, State], str | None] = field(default=lambda subject, state: None)
    lasts: float = 15.0
    watched_after: float = 0.0
    clients: int = 2

    def notices(self, event: JsonObject) -> bool:
        """Whether `event` is the keeper's word that it has noticed the fault."""
        verdict = text_at(event, "verdict") if at(event, "event") == "liveness" else ""
        if self.course is Course.PAUSED:
            return verdict == "paused"
        return verdict in FAILED_VERDICTS or at(event, "event") == "failure"


def false_alarm(event: JsonObject) -> str:
    """What `event` says of a server that works: a text where it calls it failed, else empty."""
    if at(event, "event") == "failure":
        return f"failure {text_at(event, 'code')}: {text_at(event, 'message')}"
    if at(event, "event") == "liveness" and text_at(event, "verdict") in FAILED_VERDICTS:
        return f"called {text_at(event, 'verdict')}"
    return ""
