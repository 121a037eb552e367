"""A level is computed from its records by the formulas that are printed."""

from __future__ import annotations

import pytest

from launcher.bench.metrics import METRICS, Pass, figures_of, find_overload, is_good, make_level
from launcher.bench.records import Record
from launcher.bench.result import Latencies

LIMITS = {"ttft": 0.5, "itl": 0.3}


def record(begin: float, **changes: object) -> Record:
    values: dict[str, object] = {
        "due": begin - 0.01, "begin": begin, "end": begin + 1.0,
        "chunks": (begin + 0.4, begin + 0.6, begin + 0.8), "answer": begin + 0.6,
        "input_tokens": 20, "output_tokens": 5,
    }  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def test_rates_are_of_the_time_from_the_first_request_to_the_last_token() -> None:
    figures = figures_of([record(10.0), record(11.0)], {})
    assert figures["requests_rate"] == pytest.approx(2 / 1.8)
    assert figures["tokens_rate"] == pytest.approx(10 / 1.8)
    assert figures["total_rate"] == pytest.approx(50 / 1.8)
    assert figures["ttft.p50"] == pytest.approx(0.4)
    assert figures["ttfa.mean"] == pytest.approx(0.6)
    assert figures["tpot.p99"] == pytest.approx(0.1)
    assert "goodput" not in figures


def test_a_good_request_meets_every_limit_and_its_longest_gap_counts() -> None:
    assert is_good(record(0.0), LIMITS)
    assert not is_good(record(0.0, chunks=(0.6, 0.7)), LIMITS)
    assert not is_good(record(0.0, chunks=(0.4, 0.8)), LIMITS)
    assert not is_good(record(0.0, error="HTTP 500"), LIMITS)
    assert not is_good(record(0.0, answer=None), {"ttfa": 9.0})


def test_failures_lower_goodput_and_cut_requests_count_nowhere() -> None:
    records = [record(0.0), record(1.0, error="HTTP 500", chunks=()), record(2.0, is_cut=True)]
    level = make_level("closed", 2, [Pass(tuple(records), 0.0)], LIMITS)
    assert (level.counts.sent, level.counts.succeeded, level.counts.failed) == (3, 1, 1)
    assert level.counts.cut == 1
    assert level.rates.error_rate.value == 0.5
    assert level.rates.goodput_share is not None
    assert level.rates.goodput_share.value == 0.5
    assert level.errors == {"HTTP 500": 1}


def test_the_warm_up_counts_nowhere() -> None:
    slow = record(0.0, chunks=(9.0, 9.5), is_warm_up=True)
    level = make_level("closed", 1, [Pass((slow, record(20.0)), 10.0)], {})
    assert level.counts.warm_up == 1
    assert level.latencies.ttft is not None
    assert level.latencies.ttft.maximum == pytest.approx(0.4)
    assert (level.repetitions[0].begin, level.repetitions[0].end) == (10.0, 11.0)


def test_rates_have_the_noise_of_the_repetitions() -> None:
    passes = [Pass((record(0.0), record(1.0 + extra)), 0.0) for extra in (0.0, 0.1, 0.2)]
    requests = make_level("closed", 1, passes, {}).rates.requests
    assert requests.low is not None
    assert requests.low < requests.value < 2 / 1.8


def test_nothing_but_failures_is_a_level_too() -> None:
    failed = record(0.0, error="timeout", chunks=(), answer=None)
    level = make_level("open", 2.0, [Pass((failed,), 0.0)], LIMITS)
    assert level.latencies == Latencies()
    assert find_overload(level, 0.5, 10.0) == "no request succeeded"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(0.0)], None),
        ([record(0.0), record(1.0, error="HTTP 503")], "50.0% of the requests failed"),
        ([record(0.0, chunks=(9.0,))], "TTFT p90 is 9.00 s"),
    ],
)
def test_overload_is_named(records: list[Record], expected: str | None) -> None:
    level = make_level("closed", 4, [Pass(tuple(records), 0.0)], {})
    reason = find_overload(level, 0.1, 5.0)
    assert (reason or "").startswith(expected or "")
    assert (reason is None) == (expected is None)


def test_an_open_level_that_is_not_kept_up_with_is_overload() -> None:
    records = [record(0.0), record(0.1, is_cut=True), record(0.2, is_cut=True)]
    level = make_level("open", 10.0, [Pass(tuple(records), 0.0)], {})
    assert "10 came" in (find_overload(level, 0.5, 60.0) or "")


def test_every_distribution_has_a_metric_with_a_formula() -> None:
    names = {metric.name for metric in METRICS}
    assert set(Latencies.__dataclass_fields__) <= names
    assert all(metric.formula for metric in METRICS)
