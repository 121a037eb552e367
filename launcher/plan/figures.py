"""Where an engine's own figures are: what `top` shows of a server beside its state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Names of an engine's Prometheus metrics; None or empty where the release has none.

    They are read from `path` on the port that the plan calls `port`. `running` and `waiting` are
    gauges of requests. `received` and `finished` are counters: where they are named, the gauge of
    waiting requests is not honest, and their difference is the better estimate. `tokens` counts
    generated tokens. `ttft` is a histogram of seconds to the first token. `kv_usage` is a
    gauge of the share of the KV cache in use (0 to 1), one for each engine of the server.
    """

    port: str
    path: str = "/metrics"
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    received: str | None = None
    finished: str | None = None
    tokens: str | None = None
    ttft: str | None = None
    kv_usage: str | None = None
