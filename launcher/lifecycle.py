"""The states of an instance, and the steps that lead from one to another.

`TRANSITIONS` is the only table of them. `State.enter` (launcher/keeper/state.py) checks every step
against it, and docs/operations.md draws it; a test compares the drawing with the table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class InstanceState(str, enum.Enum):
    """What an instance is at one moment; the value is the word in JSON.

    The first seven are stored in `state.json`. A reader concludes the others from what it sees.
    """

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DIED = "died"
    LOST = "lost"
    FOREIGN = "foreign"
    DAMAGED = "damaged"
    ABSENT = "absent"
    UNKNOWN = "unknown"

    # The same text in every Python: 3.10 formats such a member as its value, 3.12 as its name.
    __str__ = str.__str__
    # As a key it equals its word: what comes from JSON is a plain text.
    __hash__ = str.__hash__

    def __format__(self, format_spec: str) -> str:
        """The word."""
        return str.__format__(self, format_spec)

    @classmethod
    def parse(cls, value: object) -> InstanceState:
        """The state called `value`; UNKNOWN where this release has no such state."""
        try:
            return cls(value)
        except ValueError:
            return cls.UNKNOWN


STARTING, LOADING, READY = InstanceState.STARTING, InstanceState.LOADING, InstanceState.READY
STOPPING, STOPPED = InstanceState.STOPPING, InstanceState.STOPPED
FAILED, DIED, LOST = InstanceState.FAILED, InstanceState.DIED, InstanceState.LOST

COMING = (STARTING, LOADING)
"""Not ready yet."""
RUNNING = (LOADING, READY)
"""The engine runs, and no stop was requested."""
LIVE = (*COMING, READY, STOPPING)
"""A keeper is at work."""
UNSUCCESSFUL = (FAILED, DIED)
"""It ended without being asked to."""
FINAL = (STOPPED, *UNSUCCESSFUL)
"""It ended, and its keeper wrote how."""
STORED = (*LIVE, *FINAL)
"""What `state.json` may hold."""


@dataclass(frozen=True)
class Transition:
    """One step, and the event that leads to it."""

    source: InstanceState
    target: InstanceState
    event: str


TRANSITIONS = (
    Transition(STARTING, LOADING, "the engine process was started"),
    Transition(STARTING, STOPPING, "a precondition failed, or a stop was requested"),
    Transition(LOADING, READY, "all steps of the readiness probe passed"),
    Transition(LOADING, STOPPING, "the start failed, or a stop was requested"),
    Transition(READY, STOPPING, "the engine died, or a stop was requested"),
    Transition(STOPPING, STOPPED, "stopped on request; nothing runs"),
    Transition(STOPPING, FAILED, "it was not ready, or the restarts are used up; nothing runs"),
    Transition(STOPPING, DIED, "it was ready; nothing runs"),
    Transition(STOPPING, STARTING, "it failed, and the restart policy starts it again"),
    Transition(FAILED, STOPPED, "`down` acknowledged it"),
    Transition(DIED, STOPPED, "`down` acknowledged it"),
    *(Transition(source, LOST, "the keeper was killed, or the machine restarted")
      for source in LIVE),
    Transition(LOST, STOPPED, "`down` or `up` cleaned up"),
)  # fmt: skip

_ALLOWED = frozenset((one.source, one.target) for one in TRANSITIONS)


def is_allowed(source: InstanceState, target: InstanceState) -> bool:
    """True where an instance may go from `source` to `target`, or stays."""
    return source is target or (source, target) in _ALLOWED
