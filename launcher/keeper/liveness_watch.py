"""Watches a ready server: takes samples, judges them, and tells when the verdict changes.

The judgement is `launcher.liveness.judge`'s, the looking `launcher.keeper.sampler`'s; here is when
to look, what is kept, and the clock by which people read since when a verdict holds.
"""

from __future__ import annotations

import collections
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from launcher.host.processes import Process
from launcher.keeper import command_line
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.record import Record
from launcher.keeper.sampler import Sampler, Watched
from launcher.keeper.state import LivenessRecord
from launcher.liveness.judge import LEAST_REST, Liveness, Verdict, assess
from launcher.liveness.policy import LivenessPolicy
from launcher.liveness.sample import Canary, Sample
from launcher.plan.model import LaunchPlan

MOST_SAMPLES = 720
"""Samples that are kept at most; some 3 KiB each."""
MOST_PROCESSES = 64
"""Processes of a tree that are looked at; the engine's own come first."""


class LivenessWatch:
    """Sets `State.liveness` and emits `liveness` events; calls `on_stalled` at each stall.

    `samples` is the ring buffer, oldest first. `canaries` counts the completions that were asked
    for: an engine's own metrics count them as requests.
    """

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        policy: LivenessPolicy,
        record: Record,
        secrets: Mapping[str, str],
        folder: Path,
        on_stalled: Callable[[LivenessRecord], None],
        look_for_processes: Callable[[], None],
    ) -> None:
        """Watch from now on; `folder` is the instance's.

        `look_for_processes` leads to a call of `look`; new ones are looked for every 5 s without
        it, and what a suspect server has started meanwhile may be why it does not answer.
        """
        self.samples: collections.deque[Sample] = collections.deque(maxlen=MOST_SAMPLES)
        self.canaries = 0
        self._loop = loop
        self._plan = plan
        self._policy = policy
        self._record = record
        self._on_stalled = on_stalled
        self._look_for_processes = look_for_processes
        name = plan.readiness.auth_secret
        self._secret = secrets.get(name) if name else None
        self._logs = str(folder / "logs")
        self._workers = [re.compile(pattern) for pattern in policy.workers]
        self._watched: tuple[Watched, ...] = ()
        self._sampler: Sampler | None = Sampler(loop, plan, policy, self._secret, self._logs)
        self._ended: list[Canary] = []
        self._canary_sent: float | None = None
        self._suspect = self._defect_told = False
        self._planned = time.monotonic()
        self._suspended = _suspended()
        self._number = 0
        self._overdue: Timer | None = None
        self._timer: Timer | None = loop.call_later(0.0, self._take)

    @property
    def fails(self) -> bool:
        """Whether the last verdict is one that a supervisor has to act on."""
        verdict = self._record.state.liveness
        return verdict is not None and verdict.verdict in (Liveness.STALLED, Liveness.DEAD)

    def look(self, main: int, processes: Sequence[Process], lines: Mapping[int, str]) -> None:
        """Take in the living tree, `main` its first process, and its command lines by pid."""
        workers = command_line.matching(processes, lines, self._workers)
        roles = {p.pid: "worker" for p in processes if p.pid in workers} | {main: "main"}
        watched = [
            Watched(p.pid, p.start, command_line.program(lines.get(p.pid, ""), p.name),
                    roles.get(p.pid, "other"))
            for p in processes
        ]  # fmt: skip
        watched.sort(key=lambda one: (one.role == "other", one.pid))
        self._watched = tuple(watched[:MOST_PROCESSES])

    def close(self) -> None:
        """Look no more; what is still to come is not listened to."""
        for timer in (self._timer, self._overdue):
            if timer is not None:
                timer.cancel()
        self._timer = self._overdue = None
        if self._sampler is not None:
            self._sampler.close()
        self._sampler = None

    def died(self, message: str) -> None:
        """The engine has ended or is given up, which was learnt in another way."""
        self._set(Verdict(Liveness.DEAD, time.monotonic(), (message,)))

    # -- samples --------------------------------------------------------------------------------

    def _take(self) -> None:
        if self._sampler is None:
            return
        now = time.monotonic()
        suspended = _suspended()
        late = max(0.0, now - self._planned) + max(0.0, suspended - self._suspended)
        self._suspended = suspended
        self._timer = None
        self._number += 1
        number = self._number
        if self._suspect:
            self._look_for_processes()
        self._sampler.take(
            self._watched,
            self._suspect,
            lambda sample: self._taken(number, sample, late),
        )
        self._overdue = self._loop.call_later(self._sampler.longest, self._hangs)

    def _hangs(self) -> None:
        """Something that has no deadline hangs in the sampler's thread: a driver, a file system."""
        self._number += 1  # what it still brings is out of date
        message = "a look at the engine hangs in the kernel; the next one is taken without it"
        self._record.event("warning", message=message)
        self._sampler = Sampler(self._loop, self._plan, self._policy, self._secret, self._logs)
        self._taken(self._number, Sample(time.monotonic()), 0.0)

    def _taken(self, number: int, sample: Sample, late: float) -> None:
        if self._sampler is None or number != self._number:
            return
        if self._overdue is not None:
            self._overdue.cancel()
        ended, self._ended = tuple(self._ended), []
        sent = self._canary_sent if self._canary_sent and self._canary_sent < sample.at else None
        self.samples.append(replace(sample, late=late, canaries=ended, canary_sent=sent))
        self._forget(sample.at)
        try:
            steps = assess(self.samples, self._policy)
        except Exception as error:  # a defect of ours must not end an engine that works
            self._tell_defect(error)
            self._schedule(self._policy.interval)
            return
        self._suspect = steps.suspect
        self._set(steps.verdict, steps.doubtful)
        if self._sampler is None:
            return  # the verdict was acted upon
        if self._canary_sent is None and steps.canary:
            self.canaries += 1
            self._canary_sent = time.monotonic()
            self._sampler.send_canary(self._canary_back)
        least = self._policy.memory / MOST_SAMPLES
        spent = time.monotonic() - sample.at
        self._schedule(max(LEAST_REST, max(least, steps.wait) - spent))

    def _tell_defect(self, error: Exception) -> None:
        if not self._defect_told:
            self._defect_told = True
            traceback.print_exc()
            message = f"a defect of ernie-deploy: the engine cannot be judged: {error!r}"
            self._record.event("warning", message=message)

    def _canary_back(self, canary: Canary | None) -> None:
        self._canary_sent = None
        if self._sampler is None:
            return
        if canary is not None:
            self._ended.append(canary)
        if self._timer is not None:  # else a sample is on its way, and the next one tells
            self._schedule(0.0)

    def _schedule(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._planned = time.monotonic() + wait
        self._timer = self._loop.call_later(wait, self._take)

    def _forget(self, now: float) -> None:
        """Keep what a verdict can need and what an incident tells."""
        oldest = now - self._policy.memory - 2 * self._policy.interval
        while self.samples and self.samples[0].at < oldest:
            self.samples.popleft()

    # -- verdicts -------------------------------------------------------------------------------

    def _set(self, verdict: Verdict, doubtful: bool = False) -> None:
        """Take in a verdict; while its name stays, so does its beginning."""
        previous = self._record.state.liveness
        since = time.time() - (time.monotonic() - verdict.since)
        if previous is not None and previous.verdict == verdict.name:
            since = min(since, previous.since)
        record = LivenessRecord(verdict.name, since, verdict.reasons, doubtful)
        self._record.state.liveness = record
        if previous is not None and previous.verdict == verdict.name:
            return
        self._record.dirty = True
        quiet = (Liveness.IDLE, Liveness.BUSY)  # they take turns all day: the next tick writes them
        if verdict.name not in quiet or (previous and previous.verdict not in quiet):
            self._record.write()
        self._record.event(
            "liveness",
            verdict=verdict.name.value,
            previous=previous.verdict.value if previous else None,
            since=round(since, 3),
            reasons=list(verdict.reasons),
        )
        if verdict.name is Liveness.STALLED:
            self._on_stalled(record)


def _suspended() -> float:
    """Seconds for which this machine was suspended since its boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
