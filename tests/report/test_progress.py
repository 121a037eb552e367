"""The events of a start as plain lines; `tests/cli/test_terminal.py` has the live line."""

import io

from launcher.report.progress import ProgressLines
from tests.support.decoded import JsonDict


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
    event(8, "rung", verdict="waiting", name="health", message="not yet"),
    event(9, "rung", verdict="passed", name="health", message="GET /health answered 200"),
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


def shown(stream: io.StringIO, events: list[dict[str, object]]) -> str:
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
