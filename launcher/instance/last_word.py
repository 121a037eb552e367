"""The end of an instance as its keeper told it, for when the keeper could not write it down.

Its disk was full, its descriptors were used up, its folder belonged to another user: it says by its
socket how it ended, and a command that listened can often write what it could not. Otherwise
an instance that was stopped would count as lost.
"""

from __future__ import annotations

import contextlib
import time

from launcher.errors import DeployError
from launcher.instance import survivors
from launcher.instance.store import InstanceDir, Lock
from launcher.json_values import JsonObject, number_at
from launcher.keeper.state import (
    STATE_SCHEMA,
    DamagedState,
    State,
    reported_state,
    write_state,
)
from launcher.lifecycle import FINAL


def from_event(reported: JsonObject, event: JsonObject) -> State | None:
    """The final state: `reported` is the keeper's last answer, `event` the one that ended it.

    The latter may be a whole state as well. None where they cannot be read: another release's.
    """
    ended_at = number_at(event, "time") or number_at(event, "ended_at") or time.time()
    ending = {key: event.get(key) for key in ("state", "exit_code", "error", "receipt")}
    fields = {"token": "", "schema": STATE_SCHEMA, **reported, "processes": []}
    # What cannot be read of its last word must not take the rest with it.
    for left_out in ({}, {"receipt": None}, {"receipt": None, "error": None}):
        with contextlib.suppress(ValueError):
            state = reported_state({**fields, **ending, **left_out, "ended_at": ended_at})
            return state if state.state in FINAL else None
    return None


def write(instance: InstanceDir, state: State) -> bool:
    """Store it if nothing newer is there and no keeper lives; True where it stands there now."""
    if state.instance != instance.name:
        return False
    with contextlib.suppress(DamagedState):
        stored = instance.state()
        if stored is not None and not stored.live and stored.token == state.token:
            return True  # the keeper could write it
    lock = None
    with contextlib.suppress(DeployError):  # not even a lock can be made there
        lock = Lock.take(instance.folder)
    if lock is None:
        return False
    try:
        if survivors.keeper_of(instance.folder) is not None:
            return False
        with contextlib.suppress(DamagedState):
            stored = instance.state()
            if stored is not None and (stored.token != state.token or not stored.live):
                return False
        write_state(instance.folder, state)
    except OSError:
        return False  # then it counts as lost: `down` will say what it cleans up
    finally:
        lock.release()
    return True
