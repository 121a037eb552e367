"""The end of an instance as its keeper told it, for when the keeper could not write it down.

Its disk was full, its descriptors were used up, its folder belonged to another user: it says by its
socket how it ended, and a command that listened can often write what it could not. Otherwise
an instance that was stopped would count as lost.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from launcher.errors import DeployError
from launcher.instance import survivors
from launcher.instance.store import InstanceDir, Lock
from launcher.keeper.state import DamagedState, State, write_state
from launcher.lifecycle import InstanceState


def from_event(reported: Mapping[str, Any], event: Mapping[str, Any]) -> State:
    """The final state: `reported` is the keeper's last answer, `event` the one that ended it.

    The latter may be a whole state as well.
    """
    fields = {key: value for key, value in reported.items() if key in State.__dataclass_fields__}
    state = State(**{"instance": "", "token": "", **fields})
    state.state = InstanceState.parse(event["state"])
    state.receipt, state.error = event.get("receipt"), event.get("error")
    state.exit_code = event.get("exit_code")
    state.ended_at = event.get("time") or event.get("ended_at") or time.time()
    state.processes = []
    return state


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
