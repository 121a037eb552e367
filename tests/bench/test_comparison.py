"""Two runs in turns: what differs by more than the noise, and what does not."""

from __future__ import annotations

import dataclasses

from launcher.bench.comparison import judge
from launcher.bench.result import BenchRun, Level, Repetition, decode_comparison, encode_comparison
from tests.support.bench_runs import bench_run, level

DRIFT = (1.0, 1.3, 1.7, 2.1, 2.6)
NOISE = (1.0, 1.02, 0.98, 1.01, 0.99)


def drifting(factor: float) -> Level:
    """A level that gets slower in every pass, `factor` times as slow as the usual one."""
    repetitions = tuple(
        Repetition(
            0.0,
            1.0,
            {"ttft.p50": 0.1 * factor * d * n, "tokens_rate": 64 / (factor * d * n)},
        )
        for d, n in zip(DRIFT, NOISE if factor != 1 else (1.0,) * 5, strict=True)
    )
    return dataclasses.replace(level(), repetitions=repetitions)


def run_of(one: Level, **changes: object) -> BenchRun:
    return bench_run(levels=(one,), **changes)


def verdicts(a: BenchRun, b: BenchRun) -> dict[str, str]:
    return {one.metric: one.verdict for one in judge(a, b, "now", 1.0).figures}


def test_a_difference_is_seen_through_the_drift() -> None:
    usual, slower = run_of(drifting(1.0)), run_of(drifting(1.2))
    assert verdicts(usual, slower) == {"ttft.p50": "worse", "tokens_rate": "worse"}
    assert verdicts(slower, usual) == {"ttft.p50": "better", "tokens_rate": "better"}


def test_the_noise_is_no_difference() -> None:
    comparison = judge(run_of(drifting(1.0)), run_of(drifting(1.001)), "now", 1.0)
    assert {one.verdict for one in comparison.figures} == {"no difference shown"}
    assert "the noise explains it" in comparison.figures[0].reason


def test_the_change_has_an_interval() -> None:
    comparison = judge(run_of(drifting(1.0)), run_of(drifting(1.2)), "now", 1.0)
    change = comparison.figures[0].change
    assert change.low is not None
    assert change.high is not None
    assert change.low < 0.2 < change.high


def test_two_passes_are_too_few() -> None:
    few = dataclasses.replace(drifting(1.2), repetitions=drifting(1.2).repetitions[:2])
    comparison = judge(run_of(few), run_of(few), "now", 1.0)
    assert {one.verdict for one in comparison.figures} == {"refused"}


def test_a_busy_machine_gives_no_verdict() -> None:
    busy = dataclasses.replace(bench_run().generator, problem="too busy")
    comparison = judge(run_of(drifting(1.0)), run_of(drifting(1.5), generator=busy), "now", 1.0)
    assert comparison.problem == "too busy"
    assert {one.verdict for one in comparison.figures} == {"refused"}


def test_levels_that_only_one_side_has_are_left_out() -> None:
    second = dataclasses.replace(drifting(1.0), value=64.0)
    assert judge(run_of(drifting(1.0)), run_of(second), "now", 1.0).figures == ()


def test_a_comparison_is_read_back_as_it_was_written() -> None:
    comparison = judge(run_of(drifting(1.0)), run_of(drifting(1.2)), "now", 1.0)
    assert decode_comparison(encode_comparison(comparison)) == comparison
