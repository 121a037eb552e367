"""The verdict on a ready server: idle, busy, stalled, dead or paused, and why.

Busy differs from dead by what moves. A server with waiting work is busy as long as one of its own
counters rises or a completion comes back. Where nothing moves, the engine may still compute: a
long prompt gives no token for a minute and looks like a kernel that hangs. So an engine that
computes is given `compute_stall_after`, and one that does not is given `stall_after`. Where the
server still answers its health question, a completion of our own has to fail as well before it is
called stalled, because counters leak. Time in which the keeper itself did not run does not count:
everything before it is dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from launcher.liveness.evidence import Evidence
from launcher.liveness.policy import LivenessPolicy
from launcher.liveness.sample import DEAD, STOPPED, TRACED, UNINTERRUPTIBLE, Sample

STOPPED_PART = 1 / 3
"""Part of `stall_after` after which a process stopped by a signal is a stall: 10 s by default.

It will not go on by itself, but a profiler or a person stops one for a moment.
"""
LEAST_REST = 0.05
"""Seconds between two samples at least."""
LONGEST_REST = 60.0
"""Seconds between two canaries to a server that is stalled: they wait in its queue."""


class Liveness(str, Enum):
    """A verdict's name."""

    IDLE = "idle"
    BUSY = "busy"
    STALLED = "stalled"
    DEAD = "dead"
    PAUSED = "paused"


@dataclass(frozen=True)
class Verdict:
    """What a server is, since when (the clock of the samples) and the reasons, first the main."""

    name: Liveness
    since: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Assessment:
    """A verdict and what the keeper has to do next.

    `doubtful`: it failed a question and shows no other sign of work, but not for long enough to be
    called stalled. `suspect`: the next sample should also hold what costs more to know. `canary`:
    nothing but a completion of our own can tell if the server works. `wait`: seconds from the
    newest sample to the next one.
    """

    verdict: Verdict
    doubtful: bool
    suspect: bool
    canary: bool
    wait: float


def assess(samples: Collection[Sample], policy: LivenessPolicy) -> Assessment:
    """The verdict on a server and what follows from it; `samples` are in order of time.

    `since` cannot be earlier than the oldest usable sample.

    Raises:
        ValueError: `samples` is empty.
    """
    if not samples:
        raise ValueError("a verdict needs a sample")
    view = Evidence(samples, policy)
    verdict = _dead(view) or _paused(view) or _stopped(view) or _at_work(view) or _idle(view)
    suspect = verdict.name is not Liveness.PAUSED and _is_suspect(view)
    wait = policy.suspect_interval if suspect else policy.interval
    due = policy.canary_interval - view.silence
    if policy.canary and 0 < due < wait:
        wait = max(due, LEAST_REST)  # a canary is not sent late because no sample was due
    canary = policy.canary and verdict.name not in (Liveness.DEAD, Liveness.PAUSED)
    doubtful = verdict.name in (Liveness.IDLE, Liveness.BUSY) and _is_doubtful(view)
    return Assessment(verdict, doubtful, suspect, canary and _needs_canary(view), wait)


def _is_doubtful(view: Evidence) -> bool:
    """Whether a question failed since something last moved, and nothing computes."""
    stopped = bool(view.vital(STOPPED + TRACED))
    return stopped or ((view.unanswered or bool(view.failed)) and not view.computing()
                       and view.silence > 0)  # fmt: skip


def _needs_canary(view: Evidence) -> bool:
    """False for `canary_interval` after anything moved, and while the engine computes for clients.

    It may have no room for one more. A server that failed some already is asked ever less often.
    """
    policy = view.policy
    if view.newest.canary_sent is not None:
        return False
    if view.waiting and view.computing():
        return view.silence >= policy.compute_stall_after - _time_for_canaries(policy)
    if view.refused and view.newest.at - view.refused[-1].sent < policy.canary_interval:
        return False
    failures = len(view.in_vain)
    if failures >= policy.canary_failures:
        rest = policy.canary_interval * 2.0 ** (failures - policy.canary_failures)
        return view.newest.at - view.failed[-1].sent >= min(rest, LONGEST_REST)
    return bool(view.failed) or view.silence >= policy.canary_interval


def _is_suspect(view: Evidence) -> bool:
    """Whether something is not as it should be."""
    still = bool(view.waiting) and view.silence > view.policy.interval
    standing = view.vital("".join(DEAD) + STOPPED + TRACED + UNINTERRUPTIBLE)
    gone = any(p.is_vital and not p.is_alive for p in view.newest.processes)
    return bool(standing) or gone or view.unanswered or bool(view.failed) or still


def _time_for_canaries(policy: LivenessPolicy) -> float:
    return policy.canary_failures * policy.canary_deadline + policy.interval


# -- verdicts, the certain ones first ---------------------------------------------------------


def _dead(view: Evidence) -> Verdict | None:
    """A process without which the engine is none has ended."""
    gone = [p for p in view.newest.processes if p.is_vital and not p.is_alive]
    if not gone:
        return None
    pids = {p.pid for p in gone}
    since = view.since(lambda s: any(p.pid in pids and not p.is_alive for p in s.processes))
    return Verdict(Liveness.DEAD, since, tuple(f"{p} has ended" for p in gone))


def _paused(view: Evidence) -> Verdict | None:
    """The engine itself says that it does not work on purpose."""
    newest = view.newest
    if not view.is_paused(newest):
        return None
    reason = "the engine says that it is paused"
    status = newest.health.status if newest.health else None
    if not newest.paused and status in view.policy.paused_statuses:
        reason = f"{newest.health}: the engine was paused"
    elif not newest.paused:
        reason = "the engine says that it sleeps"
    return Verdict(Liveness.PAUSED, view.since(view.is_paused), (reason,))


def _stopped(view: Evidence) -> Verdict | None:
    """A process stopped by a signal, which will not go on by itself; or by a debugger, for long."""
    limit = view.policy.stall_after
    for state, allowed in ((STOPPED, STOPPED_PART * limit), (TRACED, limit)):
        pids = {p.pid for p in view.vital(state)}
        if not pids:
            continue
        since = view.since(lambda s: any(p.pid in pids and p.state == state for p in s.processes))  # noqa: B023
        if view.newest.at - since < allowed:
            continue
        how = "stopped by a signal" if state == STOPPED else "stopped by a debugger"
        reasons = tuple(f"{how}: {process}" for process in view.vital(state))
        return Verdict(Liveness.STALLED, since, reasons)
    return None


def _at_work(view: Evidence) -> Verdict | None:
    """Busy or stalled, where something waits for the server: a client, a probe or a canary."""
    if not view.has_work:
        return None
    policy = view.policy
    begun = view.work_since
    since = max(view.moved, begun)
    reasons = view.reasons()
    allowed = policy.stall_after
    asked_in_vain = len(view.in_vain) >= (1 if view.stale_heartbeat else policy.canary_failures)
    if asked_in_vain:
        allowed = 0.0
    computing = view.computing()
    if computing:
        reasons = (*reasons, computing)
        allowed = policy.compute_stall_after
        if not view.counted and not view.unanswered:
            # Its progress cannot be seen, and a long answer may have the engine for itself.
            allowed = float("inf")
    else:
        since = max(since, view.helped_until)
    confirmed = view.unanswered or view.failed or view.refused or not policy.canary
    if view.newest.at - since < allowed or not confirmed:
        return Verdict(Liveness.BUSY, begun, reasons)
    return Verdict(Liveness.STALLED, since, (*reasons, *view.quiet()))


def _idle(view: Evidence) -> Verdict:
    """Nothing waits."""
    counted = any(sample.counters for sample in view.samples)
    message = "no request waits" if counted else "it answers"
    return Verdict(Liveness.IDLE, view.idle_since, (message,))
