"""The values of a Prometheus exposition, read within bounds.

Only what a liveness verdict and `top` need: the sum of a metric over its series, or the largest.
The format is Prometheus' text format 0.0.4,
https://prometheus.io/docs/instrumenting/exposition_formats/. A server that was not written for us
is read: a line without a sample is skipped, never an error.
"""

from __future__ import annotations

from collections.abc import Collection

MOST_LINES = 100_000
"""Lines of one exposition that are read; engines have fewer than 2,000."""


def sums(text: str, names: Collection[str]) -> dict[str, float]:
    """The value of each metric in `names` that `text` has, summed over its series.

    A name with a label (`state{kind="awake"}`) takes the series that have it. A series that is
    printed twice, as FastDeploy 2.0 to 2.3 do, counts once. NaN counts as 0, because a gauge that
    was never set says so in some clients.
    """
    selectors: dict[str, list[tuple[str, str]]] = {}
    for selector in names:
        name, _, label = selector.partition("{")
        selectors.setdefault(name, []).append((selector, label.rstrip("}")))
    values: dict[str, float] = {}
    series_read: set[tuple[str, str]] = set()
    for line in text.splitlines()[:MOST_LINES]:
        line = line.strip()
        end = line.find("{")
        parts = (line if end < 0 else line[:end]).split(maxsplit=1)
        name = parts[0] if parts else ""
        if name not in selectors:
            continue
        labels, value = _series(line, end)
        if value is None or (name, labels) in series_read:
            continue
        series_read.add((name, labels))
        for selector, label in selectors[name]:
            if not label or label in labels:
                values[selector] = values.get(selector, 0.0) + value
    return values


def _series(line: str, start: int) -> tuple[str, float | None]:
    """The labels of a line, which begin at `start`, and its value, None where it has no sample."""
    labels = ""
    if start >= 0:
        # A label's value may hold a closing brace and spaces: the last brace ends the labels.
        labels, _, rest = line[start + 1 :].rpartition("}")
        parts = rest.split()
    else:
        parts = line.split()[1:]
    try:
        value = float(parts[0])
    except (IndexError, ValueError):
        return "", None
    return labels, 0.0 if value != value else value


def highest(text: str, name: str) -> float | None:
    """The largest value of the metric `name` over its series; None where `text` has none.

    For a share of something that each of several engines has for itself.
    """
    values: list[float] = []
    for line in text.splitlines()[:MOST_LINES]:
        line = line.strip()
        if not line.startswith(name) or line[len(name) : len(name) + 1] not in ("{", " ", "\t"):
            continue
        value = _series(line, line.find("{"))[1]
        if value is not None:
            values.append(value)
    return max(values, default=None)
