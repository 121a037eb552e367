"""Objectives and baselines: met, missed for the right reason, refused with the reason."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from launcher.bench import gates
from launcher.bench.result import BenchRun, Estimate, Gate, Level, Repetition, encode_run
from launcher.bench.scenario import read_scenario
from launcher.errors import UsageError
from launcher.json_values import JsonObject
from tests.support.bench_runs import bench_run, level
from tests.support.decoded import JsonDict


def verdicts(judged: list[Gate]) -> dict[str, str]:
    return {f"{gate.name} {gate.level}": gate.verdict for gate in judged}


def repeated(factor: float = 1.0, *, spread: float = 0.01, count: int = 5) -> Level:
    """A level whose repetitions are `factor` times the usual, and vary by `spread`."""
    repetitions = tuple(
        Repetition(
            float(i),
            i + 1.0,
            {
                "ttft.p50": 0.1 * factor * (1 + spread * (i - 2)),
                "tokens_rate": 64.0 / factor * (1 - spread * (i - 2)),
            },
        )
        for i in range(count)
    )
    return dataclasses.replace(level(), repetitions=repetitions)


def run_of(*levels: Level, **changes: Any) -> BenchRun:
    return bench_run(levels=levels, **changes)


def test_objectives_hold_at_the_level_that_they_name() -> None:
    slo: JsonObject = {"concurrency": 2, "ttft": {"p99": 0.15}, "error-rate": 0.05}
    judged = gates.slo_gates(bench_run(), slo, "p.yaml:9:1")
    assert verdicts(judged) == {"ttft.p99 c2": "met", "error_rate c2": "met"}
    assert judged[0].source == "p.yaml:9:1"
    assert "at most 0.15 s is the objective" in judged[0].reason


def test_without_a_level_every_one_has_to_hold() -> None:
    """The open level needs twice as long."""
    judged = gates.slo_gates(bench_run(), {"ttft": {"p50": 0.15}}, "slo")
    assert verdicts(judged) == {"ttft.p50 c2": "met", "ttft.p50 r2.5": "missed"}


@pytest.mark.parametrize(
    ("slo", "verdict"),
    [
        ({"output-tokens-per-second": 60}, "met"),
        ({"output-tokens-per-second": 70}, "missed"),
        ({"requests-per-second": 3}, "met"),
        ({"good-requests": 0.95}, "missed"),
        ({"good-requests": 0.9}, "met"),
        ({"error-rate": 0.01}, "missed"),
        ({"e2e": {"p50": 10}}, "met"),
    ],
)
def test_floors_are_held_from_below_and_ceilings_from_above(slo: JsonObject, verdict: str) -> None:
    judged = gates.slo_gates(run_of(level()), slo, "slo")
    assert [gate.verdict for gate in judged] == [verdict]


def test_a_figure_that_no_request_has_is_a_miss_with_the_reason() -> None:
    bare = dataclasses.replace(
        level(), rates=dataclasses.replace(level().rates, goodput_share=None)
    )
    judged = gates.slo_gates(run_of(bare), {"good-requests": 0.9, "ttfa": {"p50": 1}}, "slo")
    assert [gate.verdict for gate in judged] == ["missed", "missed"]
    assert "no request has this figure" in judged[0].reason
    assert "slo.request" in judged[1].reason


def test_a_level_that_was_not_reached_is_missed_by_what_stopped_the_run() -> None:
    judged = gates.slo_gates(
        bench_run(stopped="4 at a time: TTFT p90 is 40 s"),
        {"concurrency": 8, "e2e": {"p90": 9}},
        "",
    )
    assert verdicts(judged) == {"e2e.p90 c8": "missed"}
    assert "TTFT p90 is 40 s" in judged[0].reason


def test_no_verdict_on_latencies_where_the_machine_was_too_busy_but_on_errors() -> None:
    busy = dataclasses.replace(bench_run().generator, problem="a timer was 0.2 s late")
    slo: JsonObject = {"ttft": {"p50": 9}, "error-rate": 0.001}
    judged = gates.slo_gates(run_of(level(), generator=busy), slo, "slo")
    assert verdicts(judged) == {"ttft.p50 c2": "refused", "error_rate c2": "missed"}
    assert judged[0].reason == "a timer was 0.2 s late"


def test_the_level_of_the_objectives_is_measured_too() -> None:
    scenario, _ = read_scenario("chat")
    more = gates.with_slo_level(scenario, {"concurrency": 6, "rate": 1.5})
    assert 6 in more.load.closed
    assert more.load.open == (1.5,)
    assert gates.with_slo_level(scenario, {"concurrency": 8}) is scenario


def test_limits_of_a_request_are_what_goodput_counts_by() -> None:
    assert gates.request_limits({"request": {"ttft": 1, "e2e": 30.5}}) == {"ttft": 1.0, "e2e": 30.5}
    assert gates.request_limits({}) == {}


# -- baselines ------------------------------------------------------------------------------------


def test_twenty_percent_more_latency_is_a_regression_and_less_is_none() -> None:
    base = run_of(repeated())
    worse = gates.baseline_gates(run_of(repeated(1.2)), base, "b.json")
    better = gates.baseline_gates(run_of(repeated(0.8)), base, "b.json")
    assert verdicts(worse) == {"ttft.p50 c2": "missed", "tokens_rate c2": "missed"}
    assert verdicts(better) == {"ttft.p50 c2": "met", "tokens_rate c2": "met"}
    assert "+20.0% against the baseline" in worse[0].reason
    assert worse[0].p_value is not None
    assert worse[0].p_value < 0.01


def test_the_same_difference_within_the_noise_is_none() -> None:
    base, noisy = run_of(repeated(spread=0.15)), run_of(repeated(1.1, spread=0.15))
    judged = gates.baseline_gates(noisy, base, "b.json")
    assert set(verdicts(judged).values()) == {"met"}
    assert "no regression larger than the noise" in judged[0].reason


def test_a_sure_but_small_difference_is_within_the_tolerance() -> None:
    base, slower = run_of(repeated(spread=0.001)), run_of(repeated(1.03, spread=0.001))
    assert set(verdicts(gates.baseline_gates(slower, base, "b")).values()) == {"met"}
    strict = gates.baseline_gates(slower, base, "b", tolerance=0.01)
    assert set(verdicts(strict).values()) == {"missed"}


@pytest.mark.parametrize(
    ("now", "then", "reason"),
    [
        ({}, {"generator": "0.12.0"}, "generator 0.12.0 then, 0.13.0 now"),
        ({}, {"cores": 64.0}, "cores 64.0 then, 2.0 now"),
        ({"busy": "here"}, {}, "here"),
        ({}, {"busy": "there"}, "the baseline: there"),
    ],
)
def test_what_cannot_be_held_against_each_other_is_refused(
    now: JsonDict, then: JsonDict, reason: str
) -> None:
    def changed(facts: JsonDict, factor: float) -> BenchRun:
        judged = run_of(repeated(factor))
        generator = dataclasses.replace(
            judged.generator,
            version=facts.get("generator", judged.generator.version),
            problem=facts.get("busy"),
        )
        machine = dataclasses.replace(
            judged.machine, cores=facts.get("cores", judged.machine.cores)
        )
        return dataclasses.replace(judged, generator=generator, machine=machine)

    judged = gates.baseline_gates(changed(now, 2.0), changed(then, 1.0), "b.json")
    assert {gate.verdict for gate in judged} == {"refused"}
    assert all(reason in gate.reason for gate in judged)


def test_the_first_difference_of_two_scenarios_is_named() -> None:
    now, then = run_of(repeated()), run_of(repeated())
    document = {**then.scenario.document, "load": {"duration": 8.0}}
    scenario = dataclasses.replace(then.scenario, document=document)
    second = {**document, "load": {"duration": 10.0}}
    now = dataclasses.replace(now, scenario=dataclasses.replace(now.scenario, document=second))
    judged = gates.baseline_gates(now, dataclasses.replace(then, scenario=scenario), "b")
    assert "scenario: load: duration 8.0 then, 10.0 now" in judged[0].reason


def test_two_repetitions_are_too_few_for_a_verdict() -> None:
    judged = gates.baseline_gates(run_of(repeated(2.0, count=2)), run_of(repeated(count=2)), "b")
    assert {gate.verdict for gate in judged} == {"refused"}
    assert "3 repetitions" in judged[0].reason


def test_runs_without_a_common_level_have_no_verdict() -> None:
    judged = gates.baseline_gates(run_of(level(value=4)), run_of(level(value=2)), "b")
    assert [(gate.verdict, gate.reason) for gate in judged] == [
        ("refused", "the two runs have no level in common")
    ]


def test_a_baseline_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text(json.dumps(encode_run(bench_run())))
    assert gates.read_baseline(path) == bench_run()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"schema": "ernie-deploy/bench/99"}', "[" * 9999]
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "base.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        gates.read_baseline(path)
    assert caught.value.problems[0].code == "bad-bench-baseline"


def test_figures_are_found_by_their_names() -> None:
    one = level()
    assert gates.figure(one, "ttft.p50") == one.latencies.by_name()["ttft"].p50.value
    assert gates.figure(one, "tokens_rate") == 64.0
    assert gates.figure(one, "ttfa.p50") is None
    assert one.rates.goodput == Estimate(3.5, 3.2, 3.8)
