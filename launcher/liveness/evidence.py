"""What the samples of a server say together: the progress, the waiting work, the computing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence, Set

from launcher.liveness.policy import LivenessPolicy
from launcher.liveness.sample import STOPPED, UNINTERRUPTIBLE, Canary, ProcessSample, Sample

MISSED_INTERVALS = 2
"""A keeper that is later than that many intervals did not run; what it has is out of date."""
LEAST_MISSED = 1.0
"""Seconds that a keeper may always be late: with short intervals any busy machine is."""
STARVED_CPU = 0.03
"""Cores that a process uses at least where it would compute if a processor were free.

A process that only polls waits for a processor too, each time it wakes, and uses less.
"""
HELPER_CPU = 0.05
"""Cores that processes started for the waiting work use at least, together.

A compiler would use a whole one, but has to share it: measured, 0.06 to 0.09 with fifteen tasks for
each core. A server that asks nvidia-smi now and then uses less.
"""


def usable(samples: Iterable[Sample], policy: LivenessPolicy) -> list[Sample]:
    """The samples since the keeper last missed its turn."""
    samples = list(samples)
    allowed = max(LEAST_MISSED, MISSED_INTERVALS * policy.interval)
    for index in range(len(samples) - 1, 0, -1):
        if samples[index].late > allowed:
            return samples[index:]
    return samples


class Evidence:
    """The usable samples with what they say together; see `LivenessPolicy` for the limits."""

    def __init__(self, samples: Iterable[Sample], policy: LivenessPolicy) -> None:
        """Read `samples`, of which there is one at least."""
        self.samples = usable(samples, policy)
        self.policy = policy
        self.newest = self.samples[-1]
        self._progress = self._moves()
        self.moved = max(self._progress, default=self.samples[0].at)
        self.silence = self.newest.at - self.moved
        ended = [c for s in self.samples for c in s.canaries if not c.ok and c.sent >= self.moved]
        self.failed: list[Canary] = [canary for canary in ended if not canary.refused]
        self.refused = [canary for canary in ended if canary.refused]
        self._waits = self._clients_waiting()
        self.waiting = self._waits[-1]
        self.unanswered = fails(self.newest)
        self.counted = any(sample.counters for sample in self.samples)

    @property
    def has_work(self) -> bool:
        """Whether something waits for the server: a client, a probe or a canary."""
        return bool(self.waiting or self.unanswered or self.failed)

    @functools.cached_property
    def work_since(self) -> float:
        """Since when, without a break, something waits for the server."""
        since = self.newest.at
        for sample, waiting in zip(reversed(self.samples), reversed(self._waits), strict=True):
            if not waiting and not fails(sample):
                break
            since = sample.at
        return min(since, self.failed[0].sent) if self.failed else since

    @property
    def idle_since(self) -> float:
        """Since when, without a break, nothing waits."""
        since = self.newest.at
        for sample, waiting in zip(reversed(self.samples), reversed(self._waits), strict=True):
            if waiting or fails(sample):
                break
            since = sample.at
        return since

    def since(self, condition: Callable[[Sample], bool]) -> float:
        """The time of the first of the samples at the end that all meet `condition`."""
        since = self.newest.at
        for sample in reversed(self.samples):
            if not condition(sample):
                break
            since = sample.at
        return since

    def is_paused(self, sample: Sample) -> bool:
        """Whether the engine said in this sample that it does not work on purpose."""
        status = sample.health.status if sample.health else None
        awake = (sample.counters or {}).get(self.policy.counters.awake or "")
        return bool(sample.paused) or status in self.policy.paused_statuses or awake == 0

    def vital(self, states: str) -> list[ProcessSample]:
        """The processes of the newest sample that are in one of `states` and must work."""
        return [p for p in self.newest.processes if p.is_vital and p.state and p.state in states]

    def computing(self) -> str | None:
        """Why the engine counts as computing; None where it does not, or there is one sample."""
        window = self._window()
        seconds = window[-1].at - window[0].at
        if seconds <= 0:
            return None
        before = {p.pid: p for p in window[0].processes}
        after = [p for p in self.newest.processes if p.pid in before]
        workers = [p for p in after if p.role == "worker"] or after
        for process in workers:
            earlier = before[process.pid]
            cpu = (process.cpu - earlier.cpu) / seconds
            cores = cpu + (process.queued - earlier.queued) / seconds
            if cores >= self.policy.compute_cores and cpu >= STARVED_CPU:
                return f"{process} uses or waits for {cores:.1f} cores"
        helpers = self._helpers(self.newest)
        if helpers is not None:
            return helpers
        uses = [sample.gpu for sample in window if sample.gpu is not None]
        if uses and sum(uses) / len(uses) >= self.policy.compute_gpu:
            return f"a GPU is in use {100 * sum(uses) / len(uses):.0f} % of the time"
        moved = sum(max(0, p.io - before[p.pid].io) for p in after) / seconds
        if moved >= self.policy.compute_io:
            return f"its processes read and write {moved / 1024 / 1024:.0f} MiB/s"
        return None

    def _helpers(self, end: Sample) -> str | None:
        """How much what the engine has started for the waiting work computes, if that is enough.

        On average up to the sample `end`.

        An engine that waits for a compiler (nvcc, ptxas or c++ at the first request of a kind)
        does nothing itself. Each step of such a compilation is a process of its own, most of which
        have ended by the next sample: their time is their parent's `ended`. A helper that was
        there before the work may always be busy, and tells nothing.
        """
        start = max(end.at - self.policy.stall_after, self.moved, self.work_since)
        begin = next(sample for sample in self.samples if sample.at >= start)
        seconds = end.at - begin.at
        if seconds <= 0:
            return None
        before = {p.pid: p for p in begin.processes}
        helpers = [p for p in end.processes if p.is_alive and p.pid not in self._earlier_pids]
        cpu = 0.0
        for helper in helpers:
            earlier = before.get(helper.pid, ProcessSample(helper.pid, "", "", ""))
            cpu += helper.cpu + helper.ended - earlier.cpu - earlier.ended
        for process in end.processes:
            if process.pid in self._earlier_pids and process.pid in before:
                cpu += max(0.0, process.ended - before[process.pid].ended)
        cores = cpu / seconds
        if cores < HELPER_CPU:
            return None
        busiest = max(helpers, key=lambda p: p.cpu + p.ended, default=None)
        most = f"{busiest} most of all" if busiest is not None else "each of them ended soon"
        return f"processes that it has started since use {cores:.1f} cores, {most}"

    @functools.cached_property
    def _earlier_pids(self) -> Set[int]:
        """The pids of the last sample before the work that waits now."""
        since = self.work_since
        sample = next((one for one in reversed(self.samples) if one.at < since), self.samples[0])
        return {process.pid for process in sample.processes}

    @functools.cached_property
    def helped_until(self) -> float:
        """When helpers last computed since anything moved; `moved` where none did.

        A question that failed before that tells nothing of what the engine does now.
        """
        if not self._has_helpers():
            return self.moved
        for end in reversed(self.samples):
            if end.at <= self.moved:
                break
            if self._helpers(end) is not None:
                return end.at
        return self.moved

    def _has_helpers(self) -> bool:
        """Whether the engine has started anything since something moved; mostly it has not."""
        since = [sample.processes for sample in self.samples if sample.at >= self.moved]
        if any(
            process.pid not in self._earlier_pids for processes in since for process in processes
        ):
            return True
        ended = {process.pid: process.ended for process in since[0]}
        return any(process.ended > ended.get(process.pid, math.inf) for process in since[-1])

    @property
    def in_vain(self) -> Sequence[Canary]:
        """The failed completions that were sent since the engine last waited for helpers."""
        return [canary for canary in self.failed if canary.sent >= self.helped_until]

    def reasons(self) -> tuple[str, ...]:
        """What waits and how it stands with it, first the main one."""
        newest, reasons = self.newest, []
        if self.waiting:
            requests = "1 request is" if self.waiting == 1 else f"{self.waiting:.0f} requests are"
            progress = f"no progress for {self.silence:.0f} s" if self.silence else "counters rise"
            reasons.append(f"{requests} in work or waiting, {progress}")
        if self.unanswered:
            open_connections = newest.connections
            more = f" ({open_connections} connections are not accepted)" if open_connections else ""
            reasons.append(f"{newest.health}{more}")
        if self.failed:
            count = len(self.failed)
            plural = "a short completion" if count == 1 else f"{count} short completions"
            reasons.append(f"{plural} failed: {self.failed[-1].message}")
        elif self.refused:
            reasons.append(f"a short completion was refused: {self.refused[-1].message}")
        reasons += [f"stopped by a signal: {p}" for p in newest.processes if p.state == STOPPED]
        reasons += [
            f"waits for a device or a disk (uninterruptible): {process}"
            for process in self.vital(UNINTERRUPTIBLE)
        ]
        if self.stale_heartbeat:
            reasons.append(f"the oldest heartbeat of a worker is {newest.heartbeat:.0f} s old")
        return tuple(reasons)

    def quiet(self) -> tuple[str, ...]:
        """What the tree and the logs did meanwhile, for a server that is given up."""
        window = self._window()
        seconds, begin = window[-1].at - window[0].at, window[0]
        if seconds <= 0:
            return ()
        before = {p.pid: p for p in begin.processes}
        pairs = [(p, before[p.pid]) for p in self.newest.processes if p.pid in before]
        cores = sum(p.cpu + p.ended - b.cpu - b.ended for p, b in pairs) / seconds
        cores += (
            sum(p.cpu + p.ended for p in self.newest.processes if p.pid not in before) / seconds
        )
        moved = sum(max(0, p.io - b.io) for p, b in pairs) / seconds / 1024
        reasons = [f"its processes use {cores:.2f} cores and move {moved:.0f} KiB/s"]
        logs = [sample.log_bytes for sample in window if sample.log_bytes is not None]
        if logs:
            grown = logs[-1] - logs[0]
            text = f"got {grown} bytes" if grown > 0 else "got no line"
            reasons.append(f"its logs {text} in {seconds:.0f} s")
        uses = [sample.gpu for sample in window if sample.gpu is not None]
        if uses:
            reasons.append(f"its GPUs are in use {100 * max(uses):.0f} % of the time at most")
        return tuple(reasons)

    @property
    def stale_heartbeat(self) -> bool:
        """Whether a worker's loop did not come round for longer than any idle one does."""
        limit = max(3.0, self.policy.interval)  # it is written in whole seconds
        return self.newest.heartbeat is not None and self.newest.heartbeat > limit

    # -- how it is known --------------------------------------------------------------------------

    def _window(self) -> Sequence[Sample]:
        """The samples of the last `stall_after` in which nothing moved."""
        start = max(self.newest.at - self.policy.stall_after, self.moved)
        return [sample for sample in self.samples if sample.at >= start]

    def _moves(self) -> list[float]:
        """The times of the samples at which something had moved."""
        times, times_by_pid = [], dict[str, float]()
        for sample in self.samples:
            moved = any(canary.ok for canary in sample.canaries)
            for name in self.policy.counters.progress:
                value = (sample.counters or {}).get(name)
                if value is None or not math.isfinite(value):
                    continue
                # Lower: the counters began anew, which only a living server can do.
                moved = moved or (name in times_by_pid and value != times_by_pid[name])
                times_by_pid[name] = value
            if moved:
                times.append(sample.at)
        return times

    def _clients_waiting(self) -> list[float | None]:
        """Requests in work or waiting at each sample, without our own.

        Where a sample has no counters, they are what they were; None until the first are known.
        Counters leak: a request that was dropped stays in the backlog for good, and gauges are set
        by one thread and raised by another. What is left when a completion of ours came back does
        not wait for the engine: it is taken off until something else moves.
        """
        waits: list[float | None] = []
        figures: list[float] = []
        settled, moves = 0.0, set(self._progress)
        for index, sample in enumerate(self.samples):
            figure = self._figure(sample)
            figures.append(figures[-1] if figure is None and figures else figure or 0.0)
            answered = [canary.sent for canary in sample.canaries if canary.ok]
            if answered:
                settled = self._figure_at(answered[-1], figures, index)
            elif sample.at in moves and not self._is_ours(index):
                settled = 0.0
            if figure is None:
                waits.append(waits[-1] if waits else None)
            else:
                settled = min(settled, figure)
                waits.append(figure - settled)
        return waits

    def _figure_at(self, sent: float, figures: Sequence[float], index: int) -> float:
        """The figure when a canary was sent that ended before the sample `index`."""
        while index > 0 and self.samples[index].at > sent:
            index -= 1
        return figures[index]

    def _is_ours(self, index: int) -> bool:
        """Whether what moved up to this sample can be our own completion."""
        near = self.samples[max(0, index - 1) : index + 1]
        return any(s.canary_sent is not None or s.canaries for s in near)

    def _figure(self, sample: Sample) -> float | None:
        """Requests in work or waiting by the counters of one sample, without our own."""
        names = self.policy.counters
        values = {k: v for k, v in (sample.counters or {}).items() if math.isfinite(v)}
        gauges = [values[name] for name in (*names.running, *names.waiting) if name in values]
        figures = [sum(gauges)] if gauges else []
        received, finished = values.get(names.received or ""), values.get(names.finished or "")
        # Without a canary no dropped request can be told from one that waits: then only a server
        # that has some in work is believed to have more that wait.
        running = any(values.get(name) for name in names.running)
        if received is not None and finished is not None and (self.policy.canary or running):
            figures.append(received - finished)
        if not figures:
            return None
        own = {canary.sent for canary in self.failed if canary.sent < sample.at}
        if sample.canary_sent is not None:
            own.add(sample.canary_sent)
        return max(0.0, max(figures) - len(own))


def fails(sample: Sample) -> bool:
    """Whether the health question of this sample was not answered with 200."""
    return sample.health is not None and sample.health.status != 200
