"""What a liveness verdict reads from /metrics."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from launcher.probe.prometheus import highest, sums


def test_each_metric_is_summed_over_its_labels() -> None:
    registry = CollectorRegistry()
    tokens = Counter("vllm:generation_tokens", "Tokens.", ["model", "engine"], registry=registry)
    tokens.labels("a} b", "0").inc(7)
    tokens.labels('quoted "x" \\ \n', "1").inc(5)
    Gauge("vllm:num_requests_running", "Running.", registry=registry).set(3)
    text = generate_latest(registry).decode()
    names = {"vllm:generation_tokens_total", "vllm:num_requests_running", "missing"}
    assert sums(text, names) == {
        "vllm:generation_tokens_total": 12.0,
        "vllm:num_requests_running": 3.0,
    }


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("m 3", 3.0),
        ("m 3 1700000000000", 3.0),
        ("m 1e3", 1000.0),
        ("m NaN", 0.0),
        ("m +Inf", math.inf),
        ("  m\t 2  ", 2.0),
        ("m{} 4", 4.0),
        ('m{a="}"} 4', 4.0),
        ("m", None),
        ("m {", None),
        ("m{a=", None),
        ("m three", None),
        ("# m 3", None),
        ("", None),
        ("\x00\ud800", None),
    ],
)
def test_a_line(line: str, value: float | None) -> None:
    assert sums(f"other 1\n{line}\nother 2", {"m"}).get("m") == value


def test_a_flood_of_lines_is_read_to_its_bound() -> None:
    text = "".join(f'm{{n="{n}"}} 1\n' for n in range(300_000))
    assert sums(text, {"m"}) == {"m": 100_000.0}


def test_a_series_that_is_printed_twice_counts_once() -> None:
    """FastDeploy 2.0 to 2.3 print some of them twice."""
    assert sums('m 3\n# TYPE m counter\nm 3\nm{a="b"} 4\nm{a="b"} 4\n', {"m"}) == {"m": 7.0}


def test_a_name_with_a_label_takes_the_series_that_have_it() -> None:
    text = 'sleep{engine="0",state="awake"} 1\nsleep{engine="0",state="off"} 0\n'
    selectors = ['sleep{state="awake"}', 'sleep{state="off"}', 'sleep{state="other"}']
    assert sums(text, selectors) == {selectors[0]: 1.0, selectors[1]: 0.0}


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (['use{engine="0"} 0.25', 'use{engine="1"} 0.75', 'use{engine="2"} 0.5'], 0.75),
        (["use 0.25"], 0.25),
        (["  use\t0.25  "], 0.25),
        (["use -3", "use -2"], -2.0),
        (["use", "use{", "use three", "use 0.25"], 0.25),
        (["use_total 9", "reuse 9", "# HELP use 9", "other 9", "use 0.25"], 0.25),
        (["use_total 9"], None),
        (["use"], None),
        ([], None),
    ],
)
def test_the_largest_of_what_each_engine_has_for_itself(
    lines: list[str], value: float | None
) -> None:
    assert highest("\n".join(lines), "use") == value
