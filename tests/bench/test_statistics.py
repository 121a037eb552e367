"""Intervals cover what they should, and a difference is told from noise as often as promised."""

import random

import pytest

from launcher.bench import statistics as stats
from launcher.bench.result import Estimate


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.303), (5, 2.571), (30, 2.042), (1000, 1.962)]
)
def test_students_quantiles_are_those_of_the_tables(freedom: float, expected: float) -> None:
    assert stats.t_quantile(freedom) == pytest.approx(expected, abs=0.001)


def test_a_quantile_lies_between_its_neighbours() -> None:
    assert stats.quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert stats.quantile([7.0], 0.99) == 7.0


def test_the_99th_percentile_of_few_values_has_no_upper_end() -> None:
    few = stats.quantile_estimate([float(i) for i in range(40)], 0.99)
    several = stats.quantile_estimate([float(i) for i in range(4000)], 0.99)
    assert few.high is None
    assert several.low is not None
    assert several.high is not None
    assert several.low < several.value < several.high


def test_intervals_of_the_median_cover_it_about_as_often_as_they_say() -> None:
    draw = random.Random(1)
    covered = 0
    for _ in range(400):
        one = stats.quantile_estimate(sorted(draw.expovariate(1) for _ in range(60)), 0.5)
        assert one.low is not None
        assert one.high is not None
        covered += one.low <= 0.6931 <= one.high
    assert 0.92 <= covered / 400 <= 0.99


def test_no_failure_of_forty_does_not_prove_that_none_happens() -> None:
    one = stats.share_estimate(0, 40)
    assert one.value == 0
    assert one.high == pytest.approx(0.0876, abs=0.001)
    assert stats.share_estimate(0, 0) == Estimate(0.0)


def test_a_single_value_has_no_interval() -> None:
    assert stats.mean_estimate([3.0]) == Estimate(3.0)
    assert stats.distribution([]) is None


def test_a_distribution_can_be_drawn() -> None:
    one = stats.distribution([1.0, 2.0, 3.0])
    assert one is not None
    assert (one.quantiles[0], one.quantiles[50], one.quantiles[100]) == (1.0, 2.0, 3.0)


def test_pairs_show_a_difference_that_the_drift_hides() -> None:
    """Both get slower all day; B is 10 % slower each time."""
    a = [1.0, 1.4, 1.9, 2.7, 3.6]
    b = [one * 1.1 * factor for one, factor in zip(a, (1, 1.01, 0.99, 1, 1.01), strict=True)]
    change, p = stats.paired_change(a, b)
    _, separate = stats.separate_change(a, b)
    assert change.value == pytest.approx(0.1, abs=0.01)
    assert p is not None
    assert separate is not None
    assert p < 0.001 < 0.5 < separate


def test_noise_is_called_a_difference_about_as_often_as_promised() -> None:
    draw = random.Random(2)
    alarms = 0
    for _ in range(300):
        a, b = ([draw.lognormvariate(0, 0.1) for _ in range(5)] for _ in range(2))
        _, p = stats.separate_change(a, b)
        assert p is not None
        alarms += p <= 0.05
    assert 0.02 <= alarms / 300 <= 0.09


def test_two_values_are_too_few_for_a_test() -> None:
    assert stats.paired_change([1.0, 1.0], [2.0, 2.0])[1] is None
    assert stats.separate_change([1.0, 1.0], [2.0, 2.0, 2.0])[1] is None


def test_equal_values_differ_not_at_all_and_different_ones_without_spread_for_sure() -> None:
    assert stats.separate_change([1.0] * 3, [1.0] * 3)[1] == 1.0
    assert stats.separate_change([1.0] * 3, [2.0] * 3)[1] == 0.0


def test_many_figures_need_more_evidence_each() -> None:
    assert stats.holm([0.01, None, 0.04, 0.03]) == [0.03, None, 0.06, 0.06]
