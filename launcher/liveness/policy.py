"""What a liveness verdict needs to know of an engine and of the profile's wishes, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """Names of an engine's Prometheus metrics; values are summed over labels.

    A name may have one label (`engine_sleep_state{sleep_state="awake"}`): then only series with
    that label count. `progress` rise with the work done (tokens, finished requests). `running` and
    `waiting` are gauges of requests. `received` and `finished` are counters: their difference is
    the backlog where the release has no honest gauge of waiting requests. It keeps requests that
    were refused or dropped, so a completion that is answered shows what of it is real. `awake` is
    a gauge that is 0 while the engine sleeps. `kv_usage` is the use of the KV cache (0 to 1),
    which no verdict needs.
    """

    progress: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    received: str | None = None
    finished: str | None = None
    awake: str | None = None
    tokens: str | None = None
    kv_usage: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """All metrics that a sample has to hold."""
        single = (self.received, self.finished, self.awake, self.tokens, self.kv_usage)
        named = [name for name in single if name]
        return frozenset((*self.progress, *self.running, *self.waiting, *named))


@dataclass(frozen=True)
class LivenessPolicy:
    """When a ready server counts as stalled; all times are seconds.

    A sample is taken every `interval`, and every `suspect_interval` while something is wrong.
    `stall_after`: work waits, nothing moves and the engine does not compute.
    `compute_stall_after`: the same although the engine computes (a long prefill looks like that).
    It computes when a worker, on average, uses or waits for `compute_cores` processor cores or
    more (its idle loop uses less), when processes that it has started meanwhile compute (a
    compiler), when a GPU is in use for `compute_gpu` of the time (0 to 1), or when the tree reads
    or writes `compute_io` bytes per second (weights that are loaded again).
    `canary`: an idle server gets a short completion every `canary_interval`, with
    `canary_deadline`; `canary_failures` in a row are a stall. `paused_statuses` are answers of
    `/health` by which the engine says that it was paused on purpose.

    `counters` are read from `metrics_path` on the port that the plan calls `metrics_port`; None:
    the engine has no metrics. `heartbeat` is the path of the file in which the workers write the
    time of their last loop, None where they write none. `workers` are patterns of command lines of
    the processes that do the work, besides the engine's first process.
    """

    interval: float = 5.0
    suspect_interval: float = 1.0
    stall_after: float = 30.0
    compute_stall_after: float = 300.0
    canary: bool = True
    canary_interval: float = 8.0
    canary_deadline: float = 8.0
    canary_failures: int = 2
    compute_cores: float = 0.5
    compute_gpu: float = 0.2
    compute_io: float = 16 * 1024 * 1024
    paused_statuses: tuple[int, ...] = ()
    counters: Counters = Counters()
    metrics_port: str | None = None
    metrics_path: str = "/metrics"
    heartbeat: str | None = None
    workers: tuple[str, ...] = ()

    @property
    def memory(self) -> float:
        """Seconds of samples that a verdict needs."""
        return max(self.compute_stall_after, self.stall_after) + self.stall_after
