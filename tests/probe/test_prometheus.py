"""What a liveness verdict reads from /metrics."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from launcher.probe.prometheus import sums


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
    assert sums("m 1\n" * 300_000, {"m"}) == {"m": 100_000.0}
