"""Watches the machine of the load generator, which may be too busy to be believed.

A thread of this process sleeps for a moment again and again and records by how much the kernel
woke it up late: a generator on the same machine is late as often when it reads its clock. Another
takes a sample of server and machine every second.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from launcher.bench.result import Generator, Level, Machine, Sample
from launcher.bench.statistics import quantile
from launcher.host import gpus, memory, processes

BEAT = 0.02
"""Seconds between two looks at the clock: 50 a second cost less than 1 % of a core."""
PERIOD = 1.0
"""Seconds between two samples."""
MOST_SAMPLES = 3600
"""Samples of a time line; a longer run keeps every second of them, then every fourth."""
LATE_LEAST = 0.005
"""Seconds that the 99th percentile of the lateness may always have."""
LATE_SHARE = 0.1
"""... and the share of the shortest median latency that it may have."""
BUSIEST = 0.9
"""The share of a core from which on one process of the generator is its own bottleneck."""
_UTIME, _STIME = 14, 15
_TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Samples of a run: `with Watch(read) as watch`; times are seconds since it began."""

    def __init__(self, read: Callable[[Sample], Sample] = lambda sample: sample) -> None:
        """`read` adds what the server says to a sample; it may take a second and may not raise."""
        self.begin = time.monotonic()
        self._read = read
        self._stop = threading.Event()
        self._late: list[float] = []
        self._worst = 0.0
        self._samples: list[Sample] = []
        self._every = 1
        self._root: processes.Process | None = None
        self._busy: dict[tuple[int, int], tuple[float, float]] = {}
        self._busiest = 0.0
        self._threads = [
            threading.Thread(target=one, daemon=True) for one in (self._beat, self._sample)
        ]

    def __enter__(self) -> Watch:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; the samples stay."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def follow(self, pid: int) -> None:
        """Watch the processor time of a generator that was just started, and of its children."""
        self._root = processes.look(pid)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The time line so far."""
        return tuple(self._samples)

    def generator(self, name: str, version: str) -> Generator:
        """What was seen of the generator and its machine; the verdict is `judge_generator`'s."""
        late = quantile(sorted(self._late), 0.99) if self._late else None
        return Generator(name, version, round(self._busiest, 3), late)

    def _beat(self) -> None:
        while not self._stop.is_set():
            before = time.monotonic()
            time.sleep(BEAT)
            late = time.monotonic() - before - BEAT
            if self._root is not None:  # before the first generator nothing is measured
                self._late.append(late)
            self._worst = max(self._worst, late)

    def _sample(self) -> None:
        count = 0
        while not self._stop.wait(PERIOD):
            sample = Sample(
                at=round(time.monotonic() - self.begin, 3),
                load=os.getloadavg()[0],
                late=round(self._worst, 6),
            )
            self._worst = 0.0
            self._look_at_generator()
            count += 1
            if count % self._every == 0:
                self._samples.append(self._read(sample))
            if len(self._samples) > MOST_SAMPLES:
                self._samples = self._samples[::2]
                self._every *= 2

    def _look_at_generator(self) -> None:
        """Note the busiest process's share of a core, over the time since it was first seen."""
        if self._root is None:
            return
        now = time.monotonic()
        for process in (self._root, *processes.descendants(self._root)):
            stat = processes.stat(process.pid)
            if stat is None:
                continue
            used = (stat.number(_UTIME) + stat.number(_STIME)) / _TICKS
            first, before = self._busy.setdefault((process.pid, process.start), (now, used))
            # Its start is work, too, but not the work of sending: it is over after some seconds.
            if now - first >= 5 * PERIOD:
                self._busiest = max(self._busiest, (used - before) / (now - first))


def judge_generator(usage: Generator, levels: Sequence[Level]) -> Generator:
    """`usage` with the reason why no verdict can be based on the run; None where one can."""
    shortest = [
        one.p50.value
        for level in levels
        for one in (level.latencies.ttft, level.latencies.e2e)
        if one is not None
    ]
    limit = max(LATE_LEAST, LATE_SHARE * min(shortest, default=0.0))
    problem = None
    if usage.late_p99 is not None and usage.late_p99 > limit:
        problem = (
            "the machine of the load generator was too busy: a timer on it was"
            f" {usage.late_p99:.4f} s late (99th percentile; at most {limit:.4f} s may be believed:"
            f" {LATE_SHARE:.0%} of the shortest median latency)"
        )
    elif usage.busiest is not None and usage.busiest > BUSIEST:
        problem = (
            f"the load generator was at its limit: one of its processes used {usage.busiest:.0%} of"
            f" a core (at most {BUSIEST:.0%} may be believed)"
        )
    return replace(usage, problem=problem)


def describe_machine(before: tuple[float, ...], *, is_local: bool) -> Machine:
    """The facts of this machine; `before` is the load average at the start."""
    report = gpus.query()
    return Machine(
        name=platform.node(),
        system=f"{platform.system()} {platform.release()}",
        cpu=processes.processor_name() or platform.machine(),
        cores=float(len(os.sched_getaffinity(0))),
        memory=memory.read().total,
        gpus=tuple(gpu.name for gpu in report.gpus),
        load_before=before,
        load_after=os.getloadavg(),
        is_local=is_local,
    )
