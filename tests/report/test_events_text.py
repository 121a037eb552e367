"""One readable line an event, whatever stands in it."""

import pytest

from launcher.report.events_text import NO_TIME, details, event_line, moment, style


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"event": "state", "state": "ready", "seconds": 3.2, "base_url": "http://x/v1"},
         "ready after 3.2 s http://x/v1"),
        ({"event": "state", "state": "stopping", "reason": "down"}, "stopping: down"),
        ({"event": "state", "state": "failed", "exit_code": 4, "receipt": {"left": []},
          "error": {"code": "no-room", "message": "out of memory"}},
         "failed: no-room: out of memory (exit code 4; nothing is left)"),
        ({"event": "state", "state": "stopped", "exit_code": 0, "receipt": {"left": ["pid 3"]}},
         "stopped (left behind: pid 3)"),
        ({"event": "state", "state": "stopped", "previous_state": "died"},
         "stopped (it had died; a `down` acknowledged it)"),
        ({"event": "phase", "phase": "w", "title": "load weights", "percent": 41.6, "new": True},
         "load weights 42 %"),
        ({"event": "probe", "name": "health", "verdict": "passed", "message": "200"},
         "health passed: 200"),
        ({"event": "failure", "code": "engine-stalled", "message": "nothing moves"},
         "engine-stalled: nothing moves"),
        ({"event": "liveness", "verdict": "stalled", "previous": "busy", "reasons": ["a", "b"]},
         "busy -> stalled: a; b"),
        ({"event": "restart", "number": 2, "delay": 1.5, "cause": "engine-stalled"},
         "number 2 in 1.5 s: engine-stalled"),
        ({"event": "restart", "number": 1, "limit": 5, "delay": 4.1234, "at": 1.0,
          "cause": "memory-killed", "message": "by the kernel"},
         "number 1 of 5 in 4.12 s: memory-killed: by the kernel"),
        ({"event": "stop", "reason": "SIGTERM"}, "SIGTERM"),
        ({"event": "stop", "reason": "down", "drain": 0.0}, "down (0 s more for running requests)"),
        ({"event": "signal", "signal": "SIGTERM", "pid": 7, "target": "main"},
         "SIGTERM to the engine (7)"),
        ({"event": "signal", "signal": "SIGINT", "pid": 7, "target": "group"},
         "SIGINT to the engine's group (7)"),
        ({"event": "kill", "pids": [7, 8]}, "SIGKILL to what still runs: 7, 8"),
        ({"event": "cleaned", "killed": 0}, "no process was left"),
        ({"event": "cleaned", "killed": [7]}, "killed 1 processes that were left"),
        ({"event": "incident", "kind": "stall", "id": "x1", "folder": "/i/x1"},
         "stall  x1  /i/x1"),
        ({"event": "notification", "target": "hook", "state": "died", "ok": False,
          "message": "timed out"}, "hook died FAILED: timed out"),
        ({"event": "warning", "message": "disk full?"}, "disk full?"),
        ({"event": "weather", "sky": "blue", "wind": {"from": "N"}},
         'sky=blue wind={"from": "N"}'),
        ({"event": "state", "state": 3, "more": [1]}, "state=3 more=[1]"),
        ({"event": "warning"}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_happened(event: dict[str, object], text: str) -> None:
    assert details(event) == text  # type: ignore[arg-type]


def test_nothing_steers_the_terminal_or_breaks_the_line() -> None:
    line = event_line()({"event": "warn\x1b[2J\ning", "time": 0, "message": "a\nb\x1b]52;c;x\x07"})
    assert line.isprintable()
    assert "\x1b" not in line


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1e300, -1e300])
def test_a_time_that_is_none(value: float | None) -> None:
    assert moment(value) == NO_TIME
    assert len(moment(0.0)) == len(NO_TIME)


def test_times_are_utc_with_milliseconds() -> None:
    assert moment(1_800_000_000.1234) == "2027-01-15 08:00:00.123Z"


def test_colours_tell_the_bad_from_the_good() -> None:
    assert style({"event": "state", "state": "ready"}) == ("green",)
    assert "red" in style({"event": "liveness", "verdict": "stalled"})
    assert "red" in style({"event": "failure"})
    assert style({"event": "weather"}) == ()
