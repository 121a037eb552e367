"""Who gets a signal, and that it went to a process that is proved to be the instance's."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable

from launcher.drill.scenario import Fault
from launcher.drill.subject import Subject
from launcher.errors import PreconditionError
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.identity import send
from launcher.keeper.state import State

Role = Callable[[Subject, State], ProcessClaim | None]

DEATH = 0.1
"""Seconds in which the keeper sees a death: the kernel tells it (pidfd)."""
STALL = 30.0
"""Seconds in which a stall is seen with the default `liveness:` of a profile."""
RESTART = 1.0
"""Seconds that a restart may take beyond the engine's own start and the policy's delay."""


DYING = 60.0
"""Seconds that the kernel may take to end a process with much memory after SIGKILL."""
SLOW_DEATH = 0.05
"""Seconds from which a report says how long that took."""


def no_worker(subject: Subject, state: State) -> str | None:
    """Why no worker can get a signal; None where there is one."""
    if subject.worker(state) is None:
        return f"{subject.plan.engine} has no worker process beside its first one here"
    return None


def kept_by_a_supervisor(subject: Subject, state: State) -> str | None:
    """Why the drill must not end the keeper; None where it may."""
    if subject.is_foreground:
        return "it was started with --foreground: systemd or a container starts its keeper again"
    return None


def signal_role(subject: Subject, state: State, role: Role, number: signal.Signals) -> float:
    """Send a signal to the process of that role; the moment at which it was sent (Unix seconds).

    Raises:
        PreconditionError: it is gone already.
    """
    claim = role(subject, state)
    moment = time.time()
    if claim is None or not send(claim.pid, claim.start, number):
        raise PreconditionError.of(
            "instance-not-ready", f"a process of {subject.instance.name} ended before its drill",
            str(subject.instance.folder), f"`ernie-deploy status {subject.instance.name}`",
        )  # fmt: skip
    return moment


def kill_role(subject: Subject, state: State, role: Role) -> Fault:
    """SIGKILL to the process of that role; `at` is the moment at which it had ended.

    The kernel first takes back the memory of the process, which may take a while.

    Raises:
        PreconditionError: it is gone already.
    """
    claim = role(subject, state)
    descriptor = _pidfd(claim)
    try:
        sent = signal_role(subject, state, lambda *_: claim, signal.SIGKILL)
        ended = sent
        if descriptor is not None:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll(DYING * 1000)
            ended = time.time()
    finally:
        if descriptor is not None:
            os.close(descriptor)
    slow = ended - sent >= SLOW_DEATH
    return Fault(
        ended, sent, note=f"it took the kernel {ended - sent:.2f} s to end it" if slow else ""
    )


def _pidfd(claim: ProcessClaim | None) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.pidfd_open(claim.pid) if claim is not None else None
    return None
