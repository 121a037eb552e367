"""The values of a Prometheus exposition, read within bounds.

Only what a liveness verdict needs: the sum of each wanted metric over its labels. The format is
Prometheus' text format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/. A
server that was not written for us is read: a line that is no sample is skipped, never an error.
"""

from __future__ import annotations

from collections.abc import Collection

MOST_LINES = 100_000
"""Lines of one exposition that are read; engines have fewer than 2,000."""


def sums(text: str, names: Collection[str]) -> dict[str, float]:
    """The value of each metric in `names` that `text` has, summed over its series.

    NaN counts as 0, because a gauge that was never set says so in some clients.
    """
    values: dict[str, float] = {}
    for line in text.splitlines()[:MOST_LINES]:
        name, value = _sample(line)
        if name in names and value is not None:
            values[name] = values.get(name, 0.0) + value
    return values


def _sample(line: str) -> tuple[str, float | None]:
    """The name and the value of a line, the value None where it is no sample."""
    line = line.strip()
    if not line or line[0] == "#":
        return "", None
    if "{" in line:
        name, _, rest = line.partition("{")
        # A label's value may hold a closing brace and spaces: the last brace ends the labels.
        words = rest.rpartition("}")[2].split()
    else:
        name, *words = line.split()
    try:
        value = float(words[0])
    except (IndexError, ValueError):
        return "", None
    return name.strip(), 0.0 if value != value else value
