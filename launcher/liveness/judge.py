"""The verdict on a ready server: idle, busy, stalled, dead or paused, and why.

Busy differs from dead by what moves. A server with waiting work is busy as long as one of its own
counters rises or a completion comes back. Where nothing moves, the engine may still compute: a
long prompt gives no token for a minute and looks like a kernel that hangs. So an engine that
computes is given `compute_stall_after`, and one that does not is given `stall_after`. Where the
server still answers its health question, a completion of our own has to fail as well before it is
called stalled, because counters leak. Time in which the keeper itself did not run is no evidence:
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
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("a verdict needs a sample")
    seen = Evidence(samples, policy)
    verdict = _dead(seen) or _paused(seen) or _stopped(seen) or _at_work(seen) or _idle(seen)
    suspect = verdict.name is not Liveness.PAUSED and _is_suspect(seen)
    wait = policy.suspect_interval if suspect else policy.interval
    due = policy.canary_interval - seen.silence
    if policy.canary and 0 < due < wait:
        wait = max(due, LEAST_REST)  # a canary is not sent late because no sample was due
    canary = policy.canary and verdict.name not in (Liveness.DEAD, Liveness.PAUSED)
    doubtful = verdict.name in (Liveness.IDLE, Liveness.BUSY) and _is_doubtful(seen)
    return Assessment(verdict, doubtful, suspect, canary and _needs_canary(seen), wait)


def _is_doubtful(seen: Evidence) -> bool:
    """Whether a question failed since something last moved, and nothing computes."""
    stopped = bool(seen.vital(STOPPED + TRACED))
    return stopped or ((seen.unanswered or bool(seen.failed)) and not seen.computing()
                       and seen.silence > 0)  # fmt: skip


def _needs_canary(seen: Evidence) -> bool:
    """False for `canary_interval` after anything moved, and while the engine computes for clients.

    It may have no room for one more. A server that failed some already is asked ever less often.
    """
    policy = seen.policy
    if seen.newest.canary_sent is not None:
        return False
    if seen.waiting and seen.computing():
        return seen.silence >= policy.compute_stall_after - _time_for_canaries(policy)
    if seen.refused and seen.newest.at - seen.refused[-1].sent < policy.canary_interval:
        return False
    if len(seen.failed) >= policy.canary_failures:
        rest = policy.canary_interval * 2.0 ** (len(seen.failed) - policy.canary_failures)
        return seen.newest.at - seen.failed[-1].sent >= min(rest, LONGEST_REST)
    return bool(seen.failed) or seen.silence >= policy.canary_interval


def _is_suspect(seen: Evidence) -> bool:
    """Whether something is not as it should be."""
    still = bool(seen.waiting) and seen.silence > seen.policy.interval
    standing = seen.vital("".join(DEAD) + STOPPED + TRACED + UNINTERRUPTIBLE)
    gone = any(p.is_vital and not p.is_alive for p in seen.newest.processes)
    return bool(standing) or gone or seen.unanswered or bool(seen.failed) or still


def _time_for_canaries(policy: LivenessPolicy) -> float:
    return policy.canary_failures * policy.canary_deadline + policy.interval


# -- verdicts, the certain ones first ---------------------------------------------------------


def _dead(seen: Evidence) -> Verdict | None:
    """A process without which the engine is none has ended."""
    gone = [p for p in seen.newest.processes if p.is_vital and not p.is_alive]
    if not gone:
        return None
    pids = {p.pid for p in gone}
    since = seen.since(lambda s: any(p.pid in pids and not p.is_alive for p in s.processes))
    return Verdict(Liveness.DEAD, since, tuple(f"{p} has ended" for p in gone))


def _paused(seen: Evidence) -> Verdict | None:
    """The engine itself says that it does not work on purpose."""
    newest = seen.newest
    if not seen.is_paused(newest):
        return None
    reason = "the engine says that it is paused"
    status = newest.health.status if newest.health else None
    if not newest.paused and status in seen.policy.paused_statuses:
        reason = f"{newest.health}: the engine was paused"
    elif not newest.paused:
        reason = "the engine says that it sleeps"
    return Verdict(Liveness.PAUSED, seen.since(seen.is_paused), (reason,))


def _stopped(seen: Evidence) -> Verdict | None:
    """A process stopped by a signal, which will not go on by itself; or by a debugger, for long."""
    limit = seen.policy.stall_after
    for state, allowed in ((STOPPED, STOPPED_PART * limit), (TRACED, limit)):
        pids = {p.pid for p in seen.vital(state)}
        if not pids:
            continue
        since = seen.since(lambda s: any(p.pid in pids and p.state == state for p in s.processes))  # noqa: B023
        if seen.newest.at - since < allowed:
            continue
        how = "stopped by a signal" if state == STOPPED else "stopped by a debugger"
        reasons = tuple(f"{how}: {process}" for process in seen.vital(state))
        return Verdict(Liveness.STALLED, since, reasons)
    return None


def _at_work(seen: Evidence) -> Verdict | None:
    """Busy or stalled, where something waits for the server: a client, a probe or a canary."""
    if not seen.wanted:
        return None
    policy = seen.policy
    begun = seen.wanted_since
    since = max(seen.moved, begun)
    reasons = seen.reasons()
    allowed = policy.stall_after
    asked_in_vain = len(seen.failed) >= (1 if seen.stale_heartbeat else policy.canary_failures)
    if asked_in_vain:
        allowed = 0.0
    computing = seen.computing()
    if computing:
        reasons = (*reasons, computing)
        allowed = policy.compute_stall_after
        if not seen.counted and not seen.unanswered:
            # Its progress cannot be seen, and a long answer may have the engine for itself.
            allowed = float("inf")
    confirmed = seen.unanswered or seen.failed or seen.refused or not policy.canary
    if seen.newest.at - since < allowed or not confirmed:
        return Verdict(Liveness.BUSY, begun, reasons)
    return Verdict(Liveness.STALLED, since, (*reasons, *seen.quiet()))


def _idle(seen: Evidence) -> Verdict:
    """Nothing waits."""
    counted = any(sample.counters for sample in seen.samples)
    message = "no request waits" if counted else "it answers"
    return Verdict(Liveness.IDLE, seen.idle_since, (message,))
