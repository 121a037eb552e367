"""A client storm: much work is not a stall."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.drill.bar import Bar
from launcher.drill.scenario import Course, Fault, Scenario, Stage

CLIENTS = 32


@contextmanager
def _inject(stage: Stage) -> Iterator[Fault]:
    yield Fault(time.time())


SCENARIOS = (
    Scenario(
        "client-storm",
        f"{CLIENTS} clients ask without a pause for 30 s",
        "peak load, a retry storm",
        Bar(),
        _inject,
        Course.UNDISTURBED,
        lasts=30.0,
        clients=CLIENTS,
    ),
)
