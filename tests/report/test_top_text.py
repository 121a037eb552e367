"""The lines of `top` at every width."""

import itertools
import re
import time

import pytest

from launcher.errors import ExitCode
from launcher.lifecycle import InstanceState
from launcher.observe.figures import Load
from launcher.observe.overview import SORTS, Overview, Row
from launcher.report import top_text
from launcher.report.terminal import Terminal, cells
from launcher.report.top_text import (
    COLUMNS,
    DROPPED,
    Line,
    age,
    details,
    heading,
    latency,
    layout,
    memory,
    row_line,
    summary,
)
from launcher.result import Result
from tests.report.verb_results import NOW, TOP_ROWS
from tests.support import ROOT
from tests.support.payloads import made

ROWS = made(Overview, {"instances": TOP_ROWS, "sort": "state"}).instances


@pytest.fixture(autouse=True)
def _one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def text_of(line: Line) -> str:
    return "".join(piece for piece, _ in line).rstrip()


def lines(width: int, rows: tuple[Row, ...] = ROWS) -> list[str]:
    shape = layout(rows, width)
    return [text_of(heading(shape)), *(text_of(row_line(row, shape, NOW)) for row in rows)]


@pytest.mark.parametrize("width", range(40, 200))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cells(line) for line in lines(width)) <= width


def test_at_eighty_columns() -> None:
    assert lines(80) == [
        "NAME               STATE          RUN  WAIT  TOK/S   TTFT   KV    GPU RST    FOR",
        "ernie-21b-thinking ready stalled    3   ~12      0  1.25s  97%  71.0G   2  2h05m",
        "old                died          out of GPU memory: 3 GiB               5  1d01h",
        "vl                 loading 42%   ████░░░░░░ load weights ~1m00s left    0  1m40s",
        "ernie-0.3b         ready busy       8     0   1234   85ms  45%          0  2d07h",
        "again              restarting    in 4 s, number 2 of 5 in 10 min: th…   2     9s",
        "hung               ready         GET /metrics timed out                 0     5s",
        "spare              stopped                                              0  5m00s",
    ]


def test_columns_are_left_out_in_the_documented_order() -> None:
    present = [set(layout(ROWS, width).columns) for width in range(100, 20, -1)]
    gone: list[str] = []
    for wide, narrow in itertools.pairwise(present):
        gone += sorted(wide - narrow, key=DROPPED.index)
    assert tuple(gone) == DROPPED
    assert {"name", "state"} <= present[-1]
    titles = ", ".join(COLUMNS[name][0] for name in DROPPED)
    page = (ROOT / "docs" / "commands.md").read_text()
    assert titles in re.sub(r"\s+", " ", page)
    pages = (ROOT / "launcher" / "report" / "top_pages.py").read_text()
    assert titles in re.sub(r"\s+", " ", pages)


def test_every_column_and_every_order_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text().partition("### top")[2]
    section = page.partition("\n## ")[0]
    titles = [title for title, _, _ in COLUMNS.values()]
    rows = re.findall(r"^\| ([A-Z/, ]+) \|", section, re.MULTILINE)
    assert [one for row in rows for one in row.split(", ")] == [*titles, "DETAIL"]
    for word in SORTS:
        assert f"`{word}`" in section


def test_without_gpus_there_is_no_such_column() -> None:
    plain = tuple(row for row in ROWS if row.gpu_memory is None)
    assert "gpu" not in layout(plain, 200).columns
    assert "gpu" in layout(ROWS, 200).columns


def test_a_wide_terminal_has_the_details_in_a_column() -> None:
    printed = lines(150)
    assert printed[0].endswith("FOR  DETAIL")
    assert printed[1].endswith("3 requests are in work, no progress for 40 s")
    assert printed[2].endswith("out of GPU memory: 3 GiB")
    assert printed[4].endswith("vllm 0.32.0 baidu/ERNIE-0.3B")


def test_names_are_never_cut_below_what_tells_them_apart() -> None:
    long = Row("a" * 48, InstanceState.READY)
    assert lines(80, (long,))[1].startswith("a" * 16)
    assert lines(200, (long,))[1].startswith("a" * 27 + "…")


def test_nothing_of_an_engine_steers_the_terminal() -> None:
    evil = Row("x", InstanceState.FAILED, error="\x1b[2Jno\nroom\x07", phase="\x9b31m", since=NOW)
    for width in (60, 80, 200):
        assert all(line.isprintable() for line in lines(width, (evil,)))
    assert all(text_of(line).isprintable() for line in details(evil, NOW, layout((evil,), 80)))


def test_figures_never_grow_out_of_their_columns() -> None:
    huge = Load(10**9, 10**12, True, 10**15, 1e17, 1e9, 1, 1.0)
    row = Row("x", InstanceState.READY, since=-1e9, restarts=10**6, gpu_memory=1 << 60, load=huge)
    assert cells(lines(80, (row,))[1]) <= 80
    for value in (0, 0.04, 9.96, 10, 999.6, 9999.9, 10_000, 999_999, 1e6, 1e9, 1e11, 1e15):
        assert len(top_text._rate(value)) <= 6, value
        assert len(latency(value)) <= 6, value
        assert len(age(value)) <= 6 or value > 1e10, value
        assert len(memory(int(value) << 20)) <= 6 or value > 1e6, value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59, "59s"), (60, "1m00s"), (3_600, "1h00m"), (90_000, "1d01h"), (1e8, "1157d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0851, "85ms"), (1, "1.00s"), (9.99, "9.99s"), (10, "10s"), (130, "130s")],
)
def test_latencies(seconds: float, text: str) -> None:
    assert latency(seconds) == text


def test_the_details_of_one_tell_what_to_do() -> None:
    shape = layout(ROWS, 80)
    printed = [text_of(line) for line in details(ROWS[1], NOW, shape)]
    assert printed[:3] == ["old  died for 1d01h", "out of GPU memory: 3 GiB", "lower max-model-len"]
    printed = [text_of(line) for line in details(ROWS[0], NOW, shape)]
    assert printed[0] == "ernie-21b-thinking  ready stalled for 40s"
    assert printed[-1] == "http://127.0.0.1:8180/v1  fastdeploy 2.3.2 baidu/ERNIE"


def test_the_summary_counts_problems_first() -> None:
    assert summary(ROWS) == (
        "1 stalled, 1 died, 1 starting, 2 ready, 1 loading, 1 stopped, 1234 tok/s, 12 waiting"
    )
    assert summary(()) == "no instances"


def screen(width: int) -> str:
    terminal = Terminal(laid_out=True, colour=False, live=True, width=width, ellipsis="...")
    data = Overview(ROWS, "state", 0.1)
    text = top_text.screen(Result("top", data, None, ExitCode.DONE), terminal)
    assert text is not None
    return text


def test_once_on_a_terminal_says_below_the_table_what_was_cut() -> None:
    below = screen(80).splitlines()[len(ROWS) + 1 :]
    assert below == [
        "ernie-21b-thinking: 3 requests are in work, no progress for 40 s",
        "again: in 4 s, number 2 of 5 in 10 min: the engine was ready and was killed b...",
    ]
    assert screen(80).isascii(), "this terminal has no other characters"
    assert len(screen(150).splitlines()) == len(ROWS) + 1
