"""What an engine tells of its speed, beside the counters by which its liveness is judged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Names of Prometheus metrics, read where the counters of `LaunchPlan.liveness` are.

    `ttft` is a histogram of the seconds to the first token; None where the engine has none.
    """

    ttft: str | None = None
