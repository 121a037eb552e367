"""The verdict on a ready server: idle, busy, stalled, dead or paused, and why.

Busy differs from dead by what moves. A server with waiting work is busy as long as one of its own
counters rises or a completion comes back. Where nothing moves, the engine may still compute: a
long prompt gives no token for a minute and looks like a kernel that hangs. So an engine that
computes is given `compute_stall_after`, and one that does not is given `stall_after`. Time in
which the keeper itself did not run is no evidence: everything before it is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from launcher.liveness.policy import LivenessPolicy
from launcher.liveness.sample import STOPPED, Canary, Sample

MISSED_INTERVALS = 2
"""A keeper that is later than that many intervals did not run; what it has is out of date."""
STOPPED_FOR = 3.0
"""Seconds after which a stopped process is a stall: a debugger or profiler stops one for less."""


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


def judge(samples: Sequence[Sample], policy: LivenessPolicy) -> Verdict:
    """The verdict on a server of which `samples` were taken, oldest first.

    `since` cannot be earlier than the oldest usable sample.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("a verdict needs a sample")
    record = _Record(_usable(samples, policy), policy)
    return record.dead() or record.paused() or record.stopped() or record.at_work() or record.idle()


def needs_canary(samples: Sequence[Sample], policy: LivenessPolicy) -> bool:
    """Whether nothing but a completion of our own can tell if the server works.

    False while a client's work waits (its progress tells), and for `canary_interval` after
    anything moved.
    """
    if not policy.canary or not samples:
        return False
    record = _Record(_usable(samples, policy), policy)
    if record.dead() or record.paused() or record.waiting:
        return False
    return bool(record.failed) or record.silence >= policy.canary_interval


def is_suspect(samples: Sequence[Sample], policy: LivenessPolicy) -> bool:
    """Whether the next sample should be taken after `suspect_interval` already."""
    if not samples:
        return False
    record = _Record(_usable(samples, policy), policy)
    still = bool(record.waiting) and record.silence > policy.interval
    standing = any(p.state in STOPPED or not p.is_alive for p in record.newest.processes)
    return standing or record.unanswered or bool(record.failed) or still


def _usable(samples: Sequence[Sample], policy: LivenessPolicy) -> Sequence[Sample]:
    """The samples since the keeper last missed its turn."""
    for index in range(len(samples) - 1, 0, -1):
        if samples[index].late > MISSED_INTERVALS * policy.interval:
            return samples[index:]
    return samples


class _Record:
    """The usable samples with what they say together."""

    def __init__(self, samples: Sequence[Sample], policy: LivenessPolicy) -> None:
        self.samples = samples
        self.policy = policy
        self.newest = samples[-1]
        self.moved = self._last_progress()
        self.silence = self.newest.at - self.moved
        self.failed = self._failed_canaries()
        self._waits = self._clients_waiting()
        self.waiting = self._waits[-1]
        self.unanswered = self._fails(self.newest)

    # -- verdicts, the certain ones first -------------------------------------------------------

    def dead(self) -> Verdict | None:
        """A process without which the engine is none has ended."""
        gone = [p for p in self.newest.processes if p.is_vital and not p.is_alive]
        if not gone:
            return None
        pids = {p.pid for p in gone}
        since = self._since(lambda s: any(p.pid in pids and not p.is_alive for p in s.processes))
        return Verdict(Liveness.DEAD, since, tuple(f"{p.name} ({p.pid}) has ended" for p in gone))

    def paused(self) -> Verdict | None:
        """The engine itself says that it does not work on purpose."""
        if not self._is_paused(self.newest):
            return None
        reason = "the engine says that it is paused"
        if not self.newest.paused and self.newest.health:
            reason = f"GET /health {self.newest.health}: the engine was paused"
        return Verdict(Liveness.PAUSED, self._since(self._is_paused), (reason,))

    def stopped(self) -> Verdict | None:
        """A process stopped by a signal: it will not go on by itself."""
        stopped = [p for p in self.newest.processes if p.is_vital and p.state in STOPPED]
        if not stopped:
            return None
        pids = {p.pid for p in stopped}
        since = self._since(
            lambda s: any(p.pid in pids and p.state in STOPPED for p in s.processes)
        )
        if self.newest.at - since < STOPPED_FOR:
            return None
        reasons = tuple(f"stopped by a signal: {p.name} ({p.pid})" for p in stopped)
        return Verdict(Liveness.STALLED, since, reasons)

    def at_work(self) -> Verdict | None:
        """Busy or stalled, where something waits for the server: a client, a probe or a canary."""
        if not (self.waiting or self.unanswered or self.failed):
            return None
        begun = self._wanted_since()
        since = max(self.moved, begun)
        reasons = self._reasons()
        allowed = self.policy.stall_after
        if len(self.failed) >= self.policy.canary_failures:
            allowed = 0.0
        computing = self._computing()
        if computing:
            allowed = self.policy.compute_stall_after
            reasons = (*reasons, computing)
        if self.newest.at - since < allowed:
            return Verdict(Liveness.BUSY, begun, reasons)
        return Verdict(Liveness.STALLED, since, reasons)

    def idle(self) -> Verdict:
        """Nothing waits."""
        since = self.newest.at
        for sample, waiting in zip(reversed(self.samples), reversed(self._waits), strict=True):
            if waiting or self._fails(sample):
                break
            since = sample.at
        told = "it answers" if self.newest.counters is None else "no request waits"
        return Verdict(Liveness.IDLE, since, (told,))

    # -- what the samples say -------------------------------------------------------------------

    def _since(self, condition: Callable[[Sample], bool]) -> float:
        """The time of the first of the samples at the end that all meet `condition`."""
        since = self.newest.at
        for sample in reversed(self.samples):
            if not condition(sample):
                break
            since = sample.at
        return since

    def _is_paused(self, sample: Sample) -> bool:
        status = sample.health.status if sample.health else None
        return bool(sample.paused) or status in self.policy.paused_statuses

    def _fails(self, sample: Sample) -> bool:
        return sample.health is not None and sample.health.status != 200

    def _last_progress(self) -> float:
        """When something last moved; the first sample's time where nothing did."""
        last = self.samples[0].at
        known: dict[str, float] = {}
        for sample in self.samples:
            if any(canary.ok for canary in sample.canaries):
                last = sample.at
            for name in self.policy.counters.progress:
                value = (sample.counters or {}).get(name)
                if value is None:
                    continue
                if name in known and value != known[name]:
                    # Lower: the counters began anew, which only a living server can do.
                    last = sample.at
                known[name] = value
        return last

    def _failed_canaries(self) -> list[Canary]:
        """Those that failed since something last moved."""
        return [
            canary
            for sample in self.samples
            for canary in sample.canaries
            if not canary.ok and canary.sent >= self.moved
        ]

    def _clients_waiting(self) -> list[float | None]:
        """Requests in work or waiting at each sample, without our own.

        Where a sample has no counters, they are what they were; None until the first are known.
        """
        names = self.policy.counters
        waits: list[float | None] = []
        for sample in self.samples:
            values = sample.counters or {}
            gauges = [values[name] for name in (*names.running, *names.waiting) if name in values]
            figures = [sum(gauges)] if gauges else []
            received, finished = values.get(names.received or ""), values.get(names.finished or "")
            if received is not None and finished is not None:
                figures.append(received - finished)
            own = sum(1 for canary in self.failed if canary.sent <= sample.at)
            known = max(0.0, max(figures) - own) if figures else None
            waits.append(waits[-1] if known is None and waits else known)
        return waits

    def _wanted_since(self) -> float:
        """Since when, without a break, something waits for the server."""
        since = self.newest.at
        for sample, waiting in zip(reversed(self.samples), reversed(self._waits), strict=True):
            if not waiting and not self._fails(sample):
                break
            since = sample.at
        return min(since, self.failed[0].sent) if self.failed else since

    def _computing(self) -> str | None:
        """Why the engine counts as computing; None where it does not, or there is one sample."""
        start = max(self.newest.at - self.policy.stall_after, self.moved)
        window = [sample for sample in self.samples if sample.at >= start]
        seconds = window[-1].at - window[0].at
        if seconds <= 0:
            return None
        before = {p.pid: p for p in window[0].processes}
        after = [p for p in self.newest.processes if p.pid in before]
        workers = [p for p in after if p.role == "worker"] or after
        for process in workers:
            earlier = before[process.pid]
            cores = (process.cpu - earlier.cpu + process.queued - earlier.queued) / seconds
            if cores >= self.policy.compute_cores:
                return f"{process.name} ({process.pid}) uses or waits for {cores:.1f} cores"
        uses = [sample.gpu for sample in window if sample.gpu is not None]
        if uses and sum(uses) / len(uses) >= self.policy.compute_gpu:
            return f"a GPU is in use {100 * sum(uses) / len(uses):.0f} % of the time"
        return None

    def _reasons(self) -> tuple[str, ...]:
        newest, reasons = self.newest, []
        if self.waiting:
            requests = "1 request is" if self.waiting == 1 else f"{self.waiting:.0f} requests are"
            progress = f"no progress for {self.silence:.0f} s" if self.silence else "counters rise"
            reasons.append(f"{requests} in work or waiting, {progress}")
        if self.unanswered:
            reasons.append(f"GET /health {newest.health}")
        if self.failed:
            count = len(self.failed)
            plural = "a short completion" if count == 1 else f"{count} short completions"
            reasons.append(f"{plural} failed: {self.failed[-1].message}")
        if newest.heartbeat is not None and newest.heartbeat > self.policy.interval:
            reasons.append(f"the oldest heartbeat of a worker is {newest.heartbeat:.0f} s old")
        return tuple(reasons)
