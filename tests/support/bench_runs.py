"""Results of benchmarks, made of plain numbers, for tests that read or show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from launcher.bench.result import (
    BenchRun,
    Distribution,
    Estimate,
    Generator,
    Latencies,
    Level,
    Machine,
    Metric,
    Phase,
    Rates,
    Repetition,
    RequestCounts,
    Sample,
    ScenarioFacts,
    ServerFigure,
)
from launcher.smoke.target import TargetFacts


def distribution(values: Sequence[float]) -> Distribution:
    """`values` as a distribution with made-up intervals of 10 %."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def estimate(value: float) -> Estimate:
        return Estimate(value, value * 0.9, value * 1.1)

    return Distribution(
        len(ordered),
        estimate(sum(ordered) / len(ordered)),
        estimate(at(0.5)),
        estimate(at(0.9)),
        estimate(at(0.99)),
        ordered[0],
        ordered[-1],
        tuple(at(i / 100) for i in range(101)),
    )


def level(loop: Any = "closed", value: float = 2, ttft: float = 0.1, **changes: Any) -> Level:
    """A level of 40 requests with a spread of 20 % around `ttft` seconds to the first token."""
    spread = [ttft * (0.8 + 0.01 * i) for i in range(40)]
    new = Level(
        loop,
        value,
        RequestCounts(41, 40, 1, 0, 4),
        Rates(
            Estimate(4.0, 3.8, 4.2),
            Estimate(64.0, 60.0, 68.0),
            Estimate(128.0, 120.0, 136.0),
            Estimate(0.024, 0.001, 0.13),
            Estimate(3.5, 3.2, 3.8),
            Estimate(0.9, 0.8, 0.96),
        ),
        Latencies(
            ttft=distribution(spread),
            itl=distribution([one / 5 for one in spread]),
            tpot=distribution([one / 5 for one in spread]),
            e2e=distribution([one * 4 for one in spread]),
            user_rate=distribution([1 / one for one in spread]),
            input_tokens=distribution([16.0] * 40),
            output_tokens=distribution([16.0] * 40),
        ),
        (
            Repetition(0.0, 10.0, {"ttft.p50": ttft, "output_tokens": 64.0}),
            Repetition(20.0, 30.0, {"ttft.p50": ttft * 1.01, "output_tokens": 63.0}),
        ),
        {"HTTP 500": 1},
        (
            ServerFigure("ttft.mean", "s", ttft, ttft * 0.95),
            ServerFigure("output_tokens", "tokens", 640, 700, True, "60 tokens more"),
        ),
    )
    return dataclasses.replace(new, **changes)


def bench_run(**changes: Any) -> BenchRun:
    """A run of a closed and an open level on a small server."""
    new = BenchRun(
        TargetFacts("ernie-tiny-cpu", "instance", "http://127.0.0.1:8180/v1", "ernie"),
        ScenarioFacts("chat", "Chat", "launcher/bench/scenarios/chat.yaml", "ab12", {"name": "c"}),
        "2026-11-28T17:45:00Z",
        61.5,
        (level(), level("open", 2.5, 0.2)),
        tuple(
            Sample(float(i), 2.0, float(i % 3), 0.1 * (i % 5), (), 10**9, 1.5, 0.001)
            for i in range(10)
        ),
        (Phase("c2", 1, 0.0, 10.0), Phase("r2.5", 1, 10.0, 20.0)),
        (Metric("ttft", "Time to first token", "s", "lower", "first token - sent"),),
        Generator("aiperf", "0.13.0", 0.4, 0.001),
        Machine("host", "Linux", "a CPU", 2.0, 24 << 30, (), (1.0, 1.0), (1.5, 1.2), True),
        {"ernie_deploy": "0.2.0"},
        {"model": "ernie"},
    )
    return dataclasses.replace(new, **changes)
