"""Report files: whole or not at all, and only files are replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import ExitCode, PreconditionError, UsageError
from launcher.paths import write_file
from launcher.report.files import RENDERERS, check_writable, write_reports
from launcher.result import Result
from tests.report.results import check, column, compare_result, smoke_result
from tests.report.verb_results import DRILLS

RESULTS: dict[str, Result[Any]] = {
    "drill": DRILLS["drill"],
    "smoke": smoke_result(check("chat")),
    "compare": compare_result(column("new", check("chat"))),
}


@pytest.mark.parametrize(("command", "kind"), RENDERERS)
def test_each_report_of_each_command_is_written(command: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    check_writable(**{kind: path})
    assert not path.exists()
    written = write_reports(RESULTS[command], **{kind: path})
    assert written is RESULTS[command]
    assert ("kill-main" if command == "drill" else "chat") in path.read_text()
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
