"""Alive, ready, started: three answers from what the keeper knows, as Kubernetes asks them.

Pure functions. Each answer is one line of reason, and yes or no: 200 or 503 and nothing between,
because a Kubernetes `httpGet` takes every status from 200 to 399 for a success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from launcher.keeper.state import State
from launcher.lifecycle import COMING, InstanceState
from launcher.liveness.judge import Liveness
from launcher.plain import plain

LONGEST_REASON = 500
"""Characters of one line of reason."""
NOT_LIVE = (Liveness.STALLED, Liveness.DEAD)
NOT_READY = (*NOT_LIVE, Liveness.PAUSED)


@dataclass(frozen=True)
class Answer:
    """The answer to one probe."""

    ok: bool
    reason: str

    def __post_init__(self) -> None:
        """Make the reason one short line, whatever it quotes."""
        text = " ".join(plain(self.reason).split())
        object.__setattr__(self, "reason", text[:LONGEST_REASON])


def live(state: State, engine_lives: bool) -> Answer:
    """Whether the engine needs no restart: not stalled, not dead, its process has not ended.

    A loading, busy, idle or paused engine is alive; so is one that finishes its requests before a
    stop. `engine_lives` says whether the engine's first process runs.
    """
    if state.state is InstanceState.STARTING:
        if state.restart is not None:
            number, limit = state.restart.number, state.restart.limit
            return Answer(False, f"starting: the engine has ended; restart {number} of {limit}")
        if state.restarts:
            return Answer(False, "starting: the engine has ended")
        return Answer(True, "starting: the engine is not started yet")
    if not engine_lives:
        return Answer(False, f"{state.state}: the engine's process has ended")
    return Answer(not _is(state, NOT_LIVE), _summary(state))


def ready(state: State) -> Answer:
    """Whether it should get requests: it has proved itself, and no verdict speaks against it."""
    is_ready = state.state is InstanceState.READY
    return Answer(is_ready and not _is(state, NOT_READY), _summary(state))


def started(state: State) -> Answer:
    """Whether this run of the engine was ready once."""
    if state.ready_at is None:
        return Answer(False, _summary(state))
    return Answer(True, "started: it was ready")


def _is(state: State, verdicts: tuple[Liveness, ...]) -> bool:
    """Whether the last verdict on a ready engine is one of `verdicts`."""
    record = state.liveness if state.state is InstanceState.READY else None
    return record is not None and record.verdict in verdicts


def _summary(state: State) -> str:
    record = state.liveness if state.state is InstanceState.READY else None
    if record is not None:
        return f"{record.verdict.value}: {'; '.join(record.reasons)}"
    if state.state in COMING and state.phase:
        percent = f" {state.percent:.0f} %" if state.percent is not None else ""
        return f"{state.state}: phase {state.phase}{percent}"
    return str(state.state)


Probe = Callable[[State, bool], Answer]

PROBES: Mapping[str, Probe] = {
    "live": live,
    "ready": lambda state, _: ready(state),
    "startup": lambda state, _: started(state),
}
"""By the names of `ernie-deploy probe`; each takes the state and whether the engine lives."""
