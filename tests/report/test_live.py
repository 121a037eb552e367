"""The line that is redrawn, on a real terminal: drawn, below what is printed, and taken away."""

import io
import itertools
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from launcher.report.live import LiveLine
from tests.support import ROOT
from tests.support.terminals import VARIABLES

CLEAR = "\r\x1b[K"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The side that shows, and the stream that is written to."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        yield master, stream
    os.close(master)


def read_until(master: int, text: str) -> str:
    """What the terminal got, up to and with `text`; the suite's own time-out ends a hang."""
    got = ""
    while text not in got:
        got += os.read(master, 4096).decode()
    return got


def test_it_stays_below_what_is_printed_and_is_taken_away(
    terminal: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.report.live.INTERVAL", 3600.0)
    master, stream = terminal
    line = LiveLine(stream, lambda terminal: "loading 40 %")
    line.start()
    line.refresh()
    line.print("a phase is over")
    line.close()
    stream.write("end\n")
    stream.flush()
    live = f"{CLEAR}loading 40 %"
    expected = f"{live}{CLEAR}a phase is over\r\n{live}{CLEAR}end\r\n"
    assert read_until(master, "end\r\n") == expected


def test_it_draws_itself_again_and_again(terminal: tuple[int, io.TextIOWrapper]) -> None:
    master, stream = terminal
    numbers = itertools.count()
    line = LiveLine(stream, lambda terminal: f"second {next(numbers)}")
    line.start()
    assert f"{CLEAR}second 2" in read_until(master, "second 2")
    line.close()


def test_nothing_is_drawn_before_the_start_or_after_the_end(
    terminal: tuple[int, io.TextIOWrapper],
) -> None:
    master, stream = terminal
    line = LiveLine(stream, lambda terminal: "never")
    line.refresh()
    line.print("one")
    line.close()
    line.start()
    line.refresh()
    stream.write("end\n")
    stream.flush()
    assert read_until(master, "end\r\n") == "one\r\nend\r\n"


def test_a_line_that_is_not_closed_keeps_no_process_alive() -> None:
    code = (
        "import sys; from launcher.report.live import LiveLine\n"
        "LiveLine(sys.stdout, lambda terminal: 'loading').start()"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=env, timeout=120, check=False)
    assert ended.returncode == 0
