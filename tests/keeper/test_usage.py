"""The usage of keys: what a line counts, and what is on disk after whatever happens."""

import os
import time
from pathlib import Path

import pytest

from launcher.keeper.loop import Loop
from launcher.keeper.usage import (
    HOUR,
    KEPT_HOURS,
    HourUsage,
    KeyUsage,
    UsageMeter,
    parse_line,
    read_hours,
)

NOON = 1_767_268_800
LINE = (
    "access id=1 time=1.2 client=127.0.0.1:1 status={status} server=a retries=0 request_ms=0"
    " queue_ms=0 connect_ms=0 first_byte_ms=1 total_ms=2 received=100 sent=200 end={end} active=0"
    " queued=0 key={key} refused={refused} prompt_tokens={prompt} completion_tokens={completion}"
    " method=POST path={path}"
)


def line(**fields: str) -> bytes:
    values = {
        "status": "200", "end": "----", "key": "a", "refused": "-", "prompt": "-",
        "completion": "-", "path": "/v1/x",
    }  # fmt: skip
    return LINE.format(**{**values, **fields}).encode()


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


def meter(folder: Path, clock: Clock, warnings: list[str] | None = None) -> UsageMeter:
    notes = [] if warnings is None else warnings
    return UsageMeter(Loop(), folder, notes.append, clock)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"prompt": "12", "completion": "34"},
         {"counted": 1, "prompt_tokens": 12, "completion_tokens": 34}),
        ({"status": "500"}, {"errors": 1}),
        ({"status": "404"}, {"errors": 1}),
        ({"status": "-1"}, {"errors": 1}),
        ({"end": "SD--"}, {"errors": 1}),
        ({"end": "CD--"}, {}),
        ({"status": "429", "refused": "rate"}, {"refused_rate": 1}),
        ({"status": "429", "refused": "concurrency"}, {"refused_concurrency": 1}),
        ({"status": "401", "refused": "key"}, {"refused_key": 1}),
        ({"path": "/x?key=b&status=500"}, {}),
        ({"path": "key=b"}, {}),
        ({"prompt": "99999999999999999999", "completion": "x"}, {"counted": 1}),
    ],
)  # fmt: skip
def test_a_line_counts(fields: dict[str, str], expected: dict[str, int]) -> None:
    assert parse_line(line(**fields)) == (
        "a", KeyUsage(requests=1, received=100, sent=200, **expected)
    )  # fmt: skip


def test_other_lines_count_nothing() -> None:
    for second in (
        b"",
        b"[NOTICE] access key=a status=200",
        b"access",
        b"access id=1",
        b"\xff" * 9,
    ):
        assert parse_line(second) is None
    without = line().decode().replace("key=a refused=- prompt_tokens=- completion_tokens=- ", "")
    assert parse_line(without.encode()) == ("-", KeyUsage(requests=1, received=100, sent=200))


def test_hours_are_kept_and_added_up(tmp_path: Path) -> None:
    clock, folder = Clock(), tmp_path / "usage"
    counting = meter(folder, clock)
    counting.take([(line(), True), (line(key="b"), True), (b"noise", True)])
    clock.now += HOUR
    counting.take([(line(), True)])
    counting.close()
    one = KeyUsage(requests=1, received=100, sent=200)
    first, second = read_hours(folder)
    assert first == HourUsage(NOON, {"a": one, "b": one})
    assert second == HourUsage(NOON + HOUR, {"a": one})
    assert counting.totals() == {"a": one + one, "b": one}
    assert read_hours(folder, NOON + HOUR + 1) == [second]
    assert read_hours(folder, NOON + HOUR - 1) == [first, second]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_another_keeper_goes_on_with_the_hour(tmp_path: Path) -> None:
    clock = Clock()
    for count in (1, 2, 3):
        counting = meter(tmp_path, clock)
        assert counting.totals() == {}, "counters begin with the keeper"
        counting.take([(line(), True)])
        counting.close()
        assert read_hours(tmp_path)[0].keys["a"].requests == count


def test_what_was_counted_is_written_by_itself(tmp_path: Path) -> None:
    loop = Loop()
    counting = UsageMeter(loop, tmp_path, lambda _: None, Clock())
    counting.take([(line(), True)])
    end = time.monotonic() + 60
    loop.run_until(lambda: bool(read_hours(tmp_path)) or time.monotonic() > end)
    assert read_hours(tmp_path)[0].keys["a"].requests == 1


def test_old_hours_and_nothing_else_are_removed(tmp_path: Path) -> None:
    clock = Clock()
    second = tmp_path / "2000-01-01.json"
    second.write_text("{}")
    for passed in (0, 1, KEPT_HOURS, KEPT_HOURS + 1):
        clock.now = NOON + passed * HOUR
        counting = meter(tmp_path, clock)
        counting.take([(line(), True)])
        counting.close()
    kept = [(one.hour - NOON) // HOUR for one in read_hours(tmp_path)]
    assert kept == [1, KEPT_HOURS, KEPT_HOURS + 1]
    assert second.exists()


def test_a_folder_that_cannot_be_written_is_told_once_and_nothing_is_lost(tmp_path: Path) -> None:
    clock, warnings = Clock(), list[str]()
    folder = tmp_path / "usage"
    folder.write_text("in the way")
    counting = meter(folder, clock, warnings)
    for _ in range(3):
        counting.take([(line(), True)])
        counting.close()
    assert len(warnings) == 1
    assert "cannot be written" in warnings[0]
    os.unlink(folder)
    counting.take([(line(), True)])
    counting.close()
    assert read_hours(folder)[0].keys["a"].requests == 4


def test_a_damaged_hour_is_passed_over(tmp_path: Path) -> None:
    clock = Clock()
    counting = meter(tmp_path, clock)
    counting.take([(line(), True)])
    counting.close()
    path = next(tmp_path.iterdir())
    for damage in ("", "[]", '{"schema": "other/1", "hour": 0}', "\xff", "[" * 9999):
        path.write_text(damage, encoding="latin-1")
        assert read_hours(tmp_path) == []
        meter(tmp_path, clock)
