"""Progress of a download: percentage, rate and remaining time."""

import io

import pytest

from launcher.environments.progress import Progress
from launcher.weights.meter import Meter, duration_text, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1024, "1.0 KiB"), (700 << 20, "700 MiB"), (3 << 40, "3.0 TiB")],
)
def test_a_size(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_duration(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_rate_and_remaining_time_are_those_of_the_last_seconds() -> None:
    now = [0.0]
    stream = io.StringIO()
    meter = Meter(Progress(stream), 1000 << 20, lambda: now[0])
    meter.add(200 << 20, transferred=False)
    assert meter.text() == "20 % of 1.0 GiB", "what was there has no rate"
    for _ in range(20):
        now[0] += 1
        meter.count(10 << 20)
    assert meter.text() == "40 % of 1.0 GiB, 10.0 MiB/s, 60 s left"
    for _ in range(20):
        now[0] += 1
        meter.show()
    assert meter.text() == "40 % of 1.0 GiB", "nothing came for longer than the window"


def test_more_bytes_than_expected_are_not_more_than_everything() -> None:
    meter = Meter(Progress(io.StringIO()), 10)
    meter.add(20)
    assert meter.text().startswith("100 % of 10 B")
    assert Meter(Progress(io.StringIO()), 0).text() == "100 % of 0 B"
