"""How long earlier starts of an instance took, by its own history of events."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path

from launcher.json_values import JsonObject, number_at
from launcher.keeper.events import read_events
from launcher.lifecycle import InstanceState

NEWEST = 5
"""Starts that count: an instance's model and disk change over the months."""
LONGEST = 7 * 86400.0
"""Seconds; a start that took longer is a clock that was set."""
BEGINNINGS = ("starting", "loading")


def expected_seconds(folder: Path) -> float | None:
    """The median of the newest starts that got ready, None where there was none.

    A damaged history gives fewer starts, and never an error.
    """
    took = start_durations(read_events(folder))[-NEWEST:]
    return statistics.median(took) if took else None


def start_durations(events: Iterable[JsonObject]) -> list[float]:
    """Seconds from the beginning of each start to ready, for those that got there."""
    took = []
    begun: float | None = None
    for event in events:
        state, time = event.get("state"), _time(event)
        if event.get("event") != "state":
            continue
        if state in BEGINNINGS:
            begun = time if begun is None or state == BEGINNINGS[0] else begun
            continue
        if (
            state == InstanceState.READY
            and time is not None
            and begun is not None
            and 0 < time - begun < LONGEST
        ):
            took.append(time - begun)
        begun = None
    return took


def _time(event: JsonObject) -> float | None:
    value = number_at(event, "time")
    if value is None or not abs(value) < 1e12:
        return None
    return float(value) if math.isfinite(value) else None
