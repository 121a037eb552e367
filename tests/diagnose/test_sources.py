"""What of a folder is read, and how much of one file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.diagnose import sources
from launcher.diagnose.sources import below, contents, is_binary, packed


@pytest.mark.parametrize("written_later", [0, 100])
def test_of_a_long_file_the_beginning_and_the_end_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_later: int
) -> None:
    """It is known how many lines are missing between them; what came later is not read."""
    monkeypatch.setattr(sources, "LIMIT", 400)
    lines = [f"line {number:04}\n" for number in range(100)]
    log = tmp_path / "engine.log"
    log.write_text("".join(lines) + "x" * written_later)
    data, skipped = contents(log, 1000)
    assert data.decode() == "".join(lines[:10]) + "\n" + "".join(lines[70:])
    assert skipped == 60


def test_a_file_that_shrinks_while_it_is_read_ends_where_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LIMIT", 400)
    log = tmp_path / "engine.log"
    log.write_text("line\n" * 20)
    before = os.stat_result((0o100600, 1, 1, 1, 0, 0, 100_000, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda number: before)
    assert contents(log) == (b"line\n" * 20 + b"\n", 0)


def test_compressed_files_are_listed_below_their_folder(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("b.log.gz", "old/a.log.zst", "engine.log"):
        (tmp_path / name).write_text("x")
    assert packed(tmp_path) == ["b.log.gz", "old/a.log.zst"]
    assert [log.name for log in below(tmp_path)] == ["engine.log"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"INFO starting\n", False),
        (b"\0" * 20 + b"INFO emptied under its writer\n", False),
        (b"PK\x03\x04\0\0", True),
        (b"x" * 8191 + b"\0", True),
        (b"x" * 8192 + b"\0", False),
        (b"2026-01-09T10:00:01.000000000Z stderr F \0\0 odd\n", False),
    ],
)
def test_no_log_begins_with_nul_bytes_between_others(data: bytes, expected: bool) -> None:
    assert is_binary(data) == expected
