"""Report files: whole or not at all, and only files are replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from launcher.bench.result import BenchComparison, ComparedFigure, Estimate
from launcher.errors import ExitCode, PreconditionError, UsageError
from launcher.paths import write_file
from launcher.report.files import RENDERERS, check_writable, write_reports
from launcher.report.plots import plotter
from launcher.result import Result
from tests.report.card_results import GATES, card
from tests.report.results import check, column, compare_result, smoke_result
from tests.report.verb_results import DRILLS
from tests.support.bench_runs import bench_run

WORSE = ComparedFigure(
    "ttft.p50", "c2", "s", 0.1, 0.2, Estimate(1.0, 0.8, 1.2), 0.001, "worse", "twice as long"
)
RESULTS: dict[str, Result[Any]] = {
    "drill": DRILLS["drill"],
    "smoke": smoke_result(check("chat")),
    "compare": compare_result(column("new", check("chat"))),
    "report": card(),
    "bench": Result("bench", bench_run(gates=GATES)),
    "bench compare": Result(
        "bench compare",
        BenchComparison(bench_run(), bench_run(), True, "a test", (WORSE,), "2026-11-28", 9.0),
    ),
}
WITH_PLOTS = ("report", "bench", "bench compare")
IN_EACH = {"drill": "kill-main", "report": "ernie", "bench": "ttft", "bench compare": "ttft"}
"""A text of a command's documents; of the others it is `chat`."""


@pytest.mark.parametrize(("command", "kind"), RENDERERS)
def test_each_report_of_each_command_is_written(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plotter, "find_python", lambda: None)
    path = tmp_path / "report"
    check_writable(**{kind: path})
    assert not path.exists()
    written = write_reports(RESULTS[command], **{kind: path})
    lacking = ["missing-plots"] if kind == "html" and command in WITH_PLOTS else []
    assert [problem.code for problem in written.errors] == lacking
    assert written.exit_code is RESULTS[command].exit_code
    assert IN_EACH.get(command, "chat") in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_what_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as raised:
        check_writable(html=tmp_path / "no" / "report", junit=tmp_path)
    assert [p.code for p in raised.value.problems] == ["report-not-written"] * 2


def test_two_reports_in_one_file_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        check_writable(html=tmp_path / "r", junit=tmp_path / "r")
    check_writable(html=Path(os.devnull), junit=Path(os.devnull))


def test_a_report_that_fails_afterwards_keeps_the_verdict(tmp_path: Path) -> None:
    written = write_reports(RESULTS["smoke"], html=tmp_path / "no" / "report")
    assert written.exit_code is ExitCode.NEGATIVE
    written = write_reports(RESULTS["compare"], html=tmp_path / "no" / "report")
    assert written.exit_code is ExitCode.PRECONDITION
    assert [p.code for p in written.errors] == ["report-not-written"]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """Root could put a file in the place of /dev/null."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(fifo, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    with pytest.raises(OSError, match="No such device or address"):
        write_file(fifo, "not read")
    device = os.stat(os.devnull).st_rdev
    write_file(Path(os.devnull), "text")
    assert os.stat(os.devnull).st_rdev == device


def test_a_link_is_followed_and_its_file_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_file(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    monkeypatch.setattr(os, "urandom", bytes)
    trap = tmp_path / f".report.{bytes(6).hex()}"
    trap.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "report", "text")
    assert victim.read_text() == "kept"
    assert trap.is_symlink()
