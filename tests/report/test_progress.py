"""The events of a start as plain lines; `tests/cli/test_terminal.py` has the live line."""

import io
import time
from collections.abc import Sequence

import pytest

from launcher.json_values import JsonObject
from launcher.report.progress import ProgressLines
from launcher.report.terminal import Terminal
from tests.support.decoded import JsonDict
from tests.support.terminals import VARIABLES


def event(second: float, kind: str, /, **fields: object) -> JsonDict:
    return {"time": 100.0 + second, "event": kind, **fields}


def load(second: float, percent: float | None = None, phase: str = "weights") -> JsonDict:
    return event(second, "phase", phase=phase, title=f"load {phase}", percent=percent)


START = [
    event(0, "state", state="starting"),
    event(0, "state", state="loading", engine={"pid": 42}),
    load(1, phase="import"),
    load(2, 0.0),
    load(3, 9.5),
    load(4, 10.0),
    load(5, 19.5),
    load(6, 99.0),
    load(7, 100.0),
    event(8, "probe", verdict="waiting", name="health", message="not yet"),
    event(9, "probe", verdict="passed", name="health", message="GET /health answered 200"),
    event(9.5, "signal", pid=1),
    event(10, "state", state="ready", base_url="http://127.0.0.1:8180/v1"),
]
TROUBLE = [
    event(0, "cleaned"),
    event(1, "warning", message="slow\x1b[2J disk"),
    event(2, "failure", message="it died"),
    event(3, "restart", number=2, delay=1.5),
    event(4, "state", state="stopping"),
]


def shown(stream: io.StringIO, events: Sequence[JsonObject]) -> str:
    lines = ProgressLines(stream)
    for one in events:
        lines(one)
    return stream.getvalue()


def test_plain_lines_have_a_step_of_ten_per_cent() -> None:
    assert shown(io.StringIO(), START) == (
        "    0.0 s  started      engine process 42\n"
        "    1.0 s  loading      load import\n"
        "    2.0 s  loading      load weights   0 %\n"
        "    4.0 s  loading      load weights  10 %\n"
        "    6.0 s  loading      load weights  99 %\n"
        "    7.0 s  loading      load weights 100 %\n"
        "    9.0 s  health       GET /health answered 200\n"
        "   10.0 s  ready        http://127.0.0.1:8180/v1\n"
    )


def test_trouble_is_a_line_each_and_steers_no_terminal() -> None:
    assert shown(io.StringIO(), TROUBLE) == (
        "    0.0 s  cleaned up   what a killed keeper had left\n"
        "    1.0 s  warning      slow disk\n"
        "    2.0 s  failed       it died\n"
        "    3.0 s  restart      number 2 in 1.5 s\n"
        "    4.0 s  stopping     taking down what was started\n"
    )


def test_the_probe_of_an_older_keeper_is_shown_too() -> None:
    """It was started before `rung` became `probe`, and runs on."""
    older = event(0, "rung", verdict="passed", name="health", message="GET /health answered 200")
    expected = "    0.0 s  health       GET /health answered 200\n"
    assert shown(io.StringIO(), [older]) == expected


def test_a_restart_without_a_delay_is_at_once() -> None:
    assert shown(io.StringIO(), [event(0, "restart", number=1)]) == (
        "    0.0 s  restart      number 1 in 0.0 s\n"
    )


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Screen()


def test_a_terminal_has_the_same_lines_with_colours_and_finished_phases(screen: Screen) -> None:
    text = shown(screen, [*START[:-1], event(9.8, "failure", message="it died"), START[-1]])
    kept = [line.rpartition("\x1b[K")[2] for line in text.split("\n")]
    assert "    2.0 s  loaded       load import (1.0 s)" in kept
    assert "    9.0 s  health       GET /health answered 200" in kept
    assert any(line.startswith("    9.8 s  \x1b[") and "failed" in line for line in kept)
    (ready,) = [line for line in kept if "ready" in line]
    assert ready.startswith("   10.0 s  \x1b[")
    assert ready.endswith("http://127.0.0.1:8180/v1")


def test_the_last_phase_is_finished_when_it_is_ready_and_not_when_it_is_stopped(
    screen: Screen,
) -> None:
    ready = event(3, "state", state="ready", base_url="http://127.0.0.1:1/v1")
    loaded = "    3.0 s  loaded       load weights (2.0 s)"
    assert loaded in shown(screen, [event(0, "state", state="loading"), load(1), ready])
    stopping = event(3, "state", state="stopping")
    text = shown(Screen(), [event(0, "state", state="loading"), load(1), stopping])
    assert "loaded " not in text


def test_a_tail_that_fits_exactly_is_shown_and_one_cell_less_takes_the_shorter_one() -> None:
    lines = ProgressLines(io.StringIO(), expected=10.0)
    lines._verb = "loading"
    lines._last_event = (7.0, time.monotonic())

    def live(width: int) -> str:
        return lines._live_text(
            Terminal(laid_out=True, colour=False, live=True, width=width, ellipsis="...")
        )

    head = "    7.0 s  loading"
    long, short = "  of about 10 s, as earlier starts took", "  of about 10 s"
    assert live(len(head + long) + 1) == head + long
    assert live(len(head + long)) == head + short
    assert live(len(head + short) + 1) == head + short
    assert live(len(head + short)) == head


@pytest.mark.parametrize(
    ("columns", "live"),
    [
        (80, "    7.0 s  loading      load weights 100 %"),
        (43, "    7.0 s  loading      load weights 100 %"),
        (42, "    7.0 s  load weights 100 %"),
        (30, "    7.0 s  load weights 100 %"),
    ],
)
def test_the_live_line_leaves_out_the_verb_before_the_title(columns: int, live: str) -> None:
    lines = ProgressLines(io.StringIO())
    lines._verb, lines._title, lines._percent = "loading", "load weights", 100.0
    lines._last_event = (7.0, time.monotonic())
    screen = Terminal(laid_out=True, colour=False, live=True, width=columns, ellipsis="...")
    assert lines._live_text(screen) == live
