"""What a liveness verdict needs to know of an engine and of the profile's wishes, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """Names of an engine's Prometheus metrics, without labels; values are summed over labels.

    `progress` rise with the work done (tokens, finished requests). `running` and `waiting` are
    gauges of requests. `received` and `finished` are counters: their difference is the backlog
    where the release has no honest gauge of waiting requests.
    """

    progress: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    received: str | None = None
    finished: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """All metrics that a sample has to hold."""
        pair = [name for name in (self.received, self.finished) if name]
        return frozenset((*self.progress, *self.running, *self.waiting, *pair))


@dataclass(frozen=True)
class LivenessPolicy:
    """When a ready server counts as stalled; all times are seconds.

    A sample is taken every `interval`, and every `suspect_interval` while something is wrong.
    `stall_after`: work waits, nothing moves and the engine does not compute.
    `compute_stall_after`: the same although the engine computes (a long prefill looks like that).
    It computes when a worker, on average, uses or waits for `compute_cores` processor cores or
    more (its idle loop uses less), or when a GPU is in use for `compute_gpu` of the time (0 to 1).
    `canary`: an idle server gets a one-token completion every `canary_interval`, with
    `canary_deadline`; `canary_failures` in a row are a stall. `paused_statuses` are answers of
    `/health` by which the engine says that it was paused on purpose.
    """

    interval: float = 5.0
    suspect_interval: float = 1.0
    stall_after: float = 30.0
    compute_stall_after: float = 300.0
    canary: bool = True
    canary_interval: float = 10.0
    canary_deadline: float = 8.0
    canary_failures: int = 2
    compute_cores: float = 0.5
    compute_gpu: float = 0.2
    paused_statuses: tuple[int, ...] = ()
    counters: Counters = Counters()
