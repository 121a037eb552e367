"""Estimates with their confidence, and the test that tells a difference from noise.

Everything here is textbook, and small enough to be read: quantiles by linear interpolation (as
NumPy's default), their intervals by order statistics (Conover, Practical Nonparametric Statistics,
3.2), shares by Wilson's interval, means and differences by Student's t. Figures of latency and
speed are compared as logarithms, because they change by factors.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from launcher.bench.result import CONFIDENCE, Distribution, Estimate

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """The `share` quantile (0 to 1) of ascending values, of which there is at least one."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def quantile_estimate(ordered: Sequence[float], share: float) -> Estimate:
    """The quantile with its interval; an end is None where too few values lie beyond it."""
    count = len(ordered)
    half = Z * math.sqrt(count * share * (1 - share))
    low, high = math.floor(count * share - half), math.ceil(count * share + half)
    return Estimate(
        quantile(ordered, share),
        ordered[low - 1] if low >= 1 else None,
        ordered[high] if high < count else None,
    )


def mean_estimate(values: Sequence[float]) -> Estimate:
    """The mean with Student's interval; no interval for a single value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Estimate(mean)
    half = t_quantile(len(values) - 1) * statistics.stdev(values, mean) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def share_estimate(part: int, total: int) -> Estimate:
    """`part` of `total` with Wilson's interval; 0 without an interval where `total` is 0."""
    if not total:
        return Estimate(0.0)
    share = part / total
    scale = 1 + Z**2 / total
    middle = (share + Z**2 / (2 * total)) / scale
    half = Z * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2)) / scale
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def distribution(values: Sequence[float]) -> Distribution | None:
    """The distribution of `values`; None where there is none."""
    if not values:
        return None
    ordered = sorted(values)
    return Distribution(
        len(ordered),
        mean_estimate(ordered),
        quantile_estimate(ordered, 0.5),
        quantile_estimate(ordered, 0.9),
        quantile_estimate(ordered, 0.99),
        ordered[0],
        ordered[-1],
        tuple(quantile(ordered, percent / 100) for percent in range(101)),
    )


# -- differences ----------------------------------------------------------------------------------


def paired_change(a: Sequence[float], b: Sequence[float]) -> tuple[Estimate, float | None]:
    """The change from A to B in pairs (runs in turns), and the two-sided p of Student's paired t.

    The values are positive. The change is a share: 0.1 is 10 % more. p is None for fewer than
    three pairs.
    """
    logs = [math.log(y / x) for x, y in zip(a, b, strict=True)]
    count = len(logs)
    mean = statistics.fmean(logs)
    if count < 3:
        return Estimate(math.expm1(mean)), None
    error = statistics.stdev(logs, mean) / math.sqrt(count)
    return _change(mean, error, count - 1)


def separate_change(a: Sequence[float], b: Sequence[float]) -> tuple[Estimate, float | None]:
    """As `paired_change` for runs at different times: Welch's t on the logarithms."""
    first, second = [math.log(x) for x in a], [math.log(x) for x in b]
    difference = statistics.fmean(second) - statistics.fmean(first)
    if min(len(first), len(second)) < 3:
        return Estimate(math.expm1(difference)), None
    parts = [statistics.variance(one) / len(one) for one in (first, second)]
    error = math.sqrt(sum(parts))
    freedom = 1.0
    if error:
        weights = parts[0] ** 2 / (len(first) - 1) + parts[1] ** 2 / (len(second) - 1)
        freedom = sum(parts) ** 2 / weights
    return _change(difference, error, freedom)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """The p values corrected for their number (Holm): one false alarm stays as rare as 5 %."""
    order = sorted((p, i) for i, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        corrected[index] = highest
    return corrected


def _change(mean: float, error: float, freedom: float) -> tuple[Estimate, float]:
    if error < 1e-12:  # equal to the last bit, or different without any spread
        return Estimate(math.expm1(mean), math.expm1(mean), math.expm1(mean)), float(
            abs(mean) < 1e-12
        )
    half = t_quantile(freedom) * error
    interval = Estimate(math.expm1(mean), math.expm1(mean - half), math.expm1(mean + half))
    return interval, t_two_sided(mean / error, freedom)


# -- Student's t ----------------------------------------------------------------------------------


def t_two_sided(t: float, freedom: float) -> float:
    """The chance of a |t| as large or larger: I_x(freedom/2, 1/2) with x = freedom/(freedom+t²)."""
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The half width of a two-sided interval in standard errors."""
    low, high = 0.0, 1e3
    while high - low > 1e-6:
        middle = (low + high) / 2
        if t_two_sided(middle, freedom) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # From the back: 100 terms are far more than it takes for the x that are left.
    fraction = 1.0
    for term in range(100, 0, -1):
        half, odd = divmod(term, 2)
        if odd:
            factor = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            factor = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        fraction = 1 + factor / fraction
    return front / (a * fraction)
