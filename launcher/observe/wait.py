"""`wait`: until an instance is ready, idle or stopped, or until it is certain that it will not be.

`decide` is a pure function of what was seen; `wait` looks whenever something has changed.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from enum import Enum

from launcher.codec import written
from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.status import KEEPER_TIMEOUT, ask_keeper, restart_text
from launcher.instance.store import InstanceDir, is_locked, open_instance, unknown, view
from launcher.json_values import at
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.state import LivenessRecord, State
from launcher.lifecycle import COMING, FINAL, LIVE, UNSUCCESSFUL, InstanceState
from launcher.liveness.judge import Liveness
from launcher.observe.changes import Changes
from launcher.result import Result


class Goal(str, Enum):
    """What is waited for; the value is the word of `--for`."""

    READY = "ready"
    IDLE = "idle"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Waited:
    """`wait`: what the instance is now, and for how long it was waited."""

    goal: Goal = field(metadata=written("for"))
    reached: bool
    state: InstanceState
    seconds: float
    verdict: Liveness | None = field(default=None, metadata=written(omit=True))
    base_url: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class Snapshot:
    """An instance at one moment.

    `is_kept`: it has ended, and its keeper (or an `up`) still holds it: it may start again.
    `has_verdicts`: its keeper judges liveness at all.
    """

    state: InstanceState
    stored: State | None = None
    note: str | None = None
    is_kept: bool = False
    has_verdicts: bool = True

    @property
    def verdict(self) -> Liveness | None:
        """The last verdict on a ready instance."""
        return self.liveness.verdict if self.liveness is not None else None

    @property
    def liveness(self) -> LivenessRecord | None:
        """The last verdict with its reasons."""
        if self.stored is None or self.state != InstanceState.READY:
            return None
        return self.stored.liveness

    @property
    def serves(self) -> bool:
        """True where a ready instance takes requests, as far as is known."""
        return self.liveness is None or self.liveness.is_healthy

    @property
    def keeper(self) -> ProcessClaim | None:
        """The keeper whose end is to be noticed."""
        return self.stored.keeper if self.stored is not None and self.state in LIVE else None


@dataclass(frozen=True)
class Decision:
    """The end of a wait: reached, or why it never will be."""

    exit_code: ExitCode = ExitCode.DONE
    problem: Problem | None = None


def decide(name: str, goal: Goal, snapshot: Snapshot, *, may_come: bool) -> Decision | None:
    """The end of a wait for `goal`, or None while it can still come.

    `may_come`: what is stopped or does not exist may be started by another command, so it is
    waited for.
    """
    state = snapshot.state
    if state in FINAL and snapshot.is_kept:
        return None
    if state in (InstanceState.LOST, InstanceState.FOREIGN, InstanceState.DAMAGED):
        return _unusable(name, snapshot)
    if goal is Goal.STOPPED:
        ended = state in FINAL or state == InstanceState.ABSENT
        return Decision() if ended else None
    if state in UNSUCCESSFUL:
        return _unsuccessful(name, snapshot)
    if state in (InstanceState.STOPPED, InstanceState.ABSENT):
        return None if may_come else _not_started(name, snapshot)
    if state != InstanceState.READY:
        return None
    if goal is Goal.READY:
        return Decision() if snapshot.serves else None
    if not snapshot.has_verdicts:
        problem = Problem(
            "no-verdicts", f"the keeper of {name} does not judge whether it is idle", None,
            "`liveness:` in the profile is off, or the keeper is older than this command: wait for"
            " `ready`, or `restart` it",
        )  # fmt: skip
        return Decision(ExitCode.PRECONDITION, problem)
    return Decision() if snapshot.verdict is Liveness.IDLE and snapshot.serves else None


def wait(instance: InstanceDir, goal: Goal, timeout: float | None) -> Result[Waited]:
    """Wait until `instance` has reached `goal`, for at most `timeout` seconds (None: no limit).

    An instance that does not exist yet, or is stopped, is waited for where there is a `timeout`.

    Raises:
        UsageError: it does not exist, and there is no `timeout`.
        PreconditionError: its state may not be read.
    """
    if timeout is None and goal is not Goal.STOPPED:
        open_instance(instance.name)
    began = time.monotonic()
    end = None if timeout is None else began + timeout
    changes = Changes(instance)
    keeper: ProcessClaim | None = None
    try:
        while True:
            changes.arm(keeper)
            left = None if end is None else end - time.monotonic()
            snapshot = look(instance, KEEPER_TIMEOUT if left is None else left)
            if snapshot.keeper != keeper:
                keeper = snapshot.keeper
                continue  # its end has to be noticed from before the look on
            decision = decide(instance.name, goal, snapshot, may_come=timeout is not None)
            if decision is None and end is not None and time.monotonic() >= end:
                decision = _deadline(instance.name, goal, snapshot, timeout or 0.0)
            if decision is not None:
                return _result(instance, goal, snapshot, decision, time.monotonic() - began)
            changes.wait(None if end is None else max(0.0, end - time.monotonic()))
    finally:
        changes.close()


def look(instance: InstanceDir, timeout: float = KEEPER_TIMEOUT) -> Snapshot:
    """What the instance is now: by its keeper, which knows better than a file on a full disk."""
    state, stored, note = view(instance)
    if state in LIVE:
        try:
            reported, _ = ask_keeper(instance, max(0.05, min(timeout, KEEPER_TIMEOUT)))
        except (OSError, ValueError):
            pass  # it hangs, or ends just now: what it wrote last holds
        else:
            stored, state = reported, reported.state
    if state == InstanceState.ABSENT and not instance.exists:
        note = unknown(instance.name)
    kept = state in FINAL and is_locked(instance.folder)
    return Snapshot(state, stored, note, kept, state != InstanceState.READY or _judges(instance))


def _judges(instance: InstanceDir) -> bool:
    try:
        return at(instance.plan_data(), "liveness") is not None
    except DeployError:
        return True


# -- why it never will be -----------------------------------------------------------------------


def _unsuccessful(name: str, snapshot: Snapshot) -> Decision:
    stored = snapshot.stored
    error = stored.error if stored is not None else None
    code = ExitCode.DIED if snapshot.state == InstanceState.DIED else ExitCode.DID_NOT_START
    if stored is not None and stored.exit_code:
        with contextlib.suppress(ValueError):  # a newer keeper's
            code = ExitCode(stored.exit_code)
    if error is None:
        return Decision(code, Problem("failed", f"{name} has {snapshot.state}"))
    remedy = error.remedy or f"`ernie-deploy diagnose {name}`"
    message = f"{name} has {snapshot.state}: {error.message}"
    return Decision(code, Problem(error.code, message, error.where, remedy))


def _unusable(name: str, snapshot: Snapshot) -> Decision:
    if snapshot.state == InstanceState.LOST:
        was_ready = snapshot.stored is not None and snapshot.stored.ready_at is not None
        problem = Problem("keeper-lost", f"{name} is LOST: {snapshot.note}")
        return Decision(ExitCode.DIED if was_ready else ExitCode.DID_NOT_START, problem)
    if snapshot.state == InstanceState.FOREIGN:
        problem = Problem(
            "foreign-state", f"the state of {name} is not this machine's: {snapshot.note}"
        )
        return Decision(ExitCode.PRECONDITION, problem)
    problem = Problem(
        "damaged-state", f"the state of {name} cannot be read: {snapshot.note}", None,
        f"`ernie-deploy down {name}` ends what still runs and writes it anew",
    )  # fmt: skip
    return Decision(ExitCode.PRECONDITION, problem)


def _not_started(name: str, snapshot: Snapshot) -> Decision:
    message = (
        snapshot.note
        if snapshot.state == InstanceState.ABSENT and snapshot.note
        else f"{name} is stopped"
    )
    problem = Problem(
        "not-ready", message, None,
        f"start it with `up`; with `--timeout`, `wait` waits until {name} is started",
    )  # fmt: skip
    return Decision(ExitCode.NEGATIVE, problem)


def _deadline(name: str, goal: Goal, snapshot: Snapshot, timeout: float) -> Decision:
    now = str(snapshot.state)
    if snapshot.stored is not None and snapshot.stored.phase and snapshot.state in LIVE:
        percent = snapshot.stored.percent
        if snapshot.state != InstanceState.READY:
            now += f", phase {snapshot.stored.phase}"
            now += f" {percent:.0f} %" if percent is not None else ""
    if (
        snapshot.stored is not None
        and snapshot.stored.restart is not None
        and snapshot.state in COMING
    ):
        now = f"restarting{restart_text(snapshot.stored.restart)}"
    if snapshot.verdict is not None:
        now += f" and {snapshot.verdict.value}"
    problem = Problem(
        "wait-timeout", f"{name} is not {goal.value} after {timeout:g} s: it is {now}", "--timeout",
        f"`ernie-deploy status {name}`, `ernie-deploy events {name}`",
    )  # fmt: skip
    return Decision(ExitCode.DEADLINE, problem)


def _result(
    instance: InstanceDir, goal: Goal, snapshot: Snapshot, decision: Decision, seconds: float
) -> Result[Waited]:
    url = (
        snapshot.stored.base_url
        if snapshot.stored and snapshot.state == InstanceState.READY
        else None
    )
    reached = decision.exit_code is ExitCode.DONE
    data = Waited(goal, reached, snapshot.state, round(seconds, 3), snapshot.verdict, url or None)
    errors = () if decision.problem is None else (decision.problem,)
    return Result("wait", data, instance.name, decision.exit_code, errors)
