"""What is kept of the logs: their end, as it was when something went wrong."""

from pathlib import Path

import pytest

from launcher.files import lengths
from launcher.keeper.incident_collector import tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 14 bytes."""
    path = tmp_path / "logs" / "engine.log"
    path.parent.mkdir()
    path.write_text("one\ntwo\nthree\n")
    return path


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(100, b"one\ntwo\nthree\n"), (14, b"one\ntwo\nthree\n"), (13, b"two\nthree\n"),
     (7, b"three\n"), (3, b"")],
)  # fmt: skip
def test_the_end_of_a_log_is_whole_lines(log: Path, limit: int, kept: bytes) -> None:
    assert tail(log, limit, None) == kept


def test_one_line_that_is_longer_than_the_limit_is_kept_by_its_end(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("Loading: 10% 20% 30%")
    assert tail(log, 4, None) == b" 30%"


def test_what_was_written_after_the_incident_is_left_out(log: Path, tmp_path: Path) -> None:
    then = lengths(log.parent)
    with log.open("a") as file:
        file.write("four\n")
    assert tail(log, 7, then) == b"three\n"
    assert tail(log, 7, None) == b"four\n"
    younger = tmp_path / "logs" / "engine.log.1"
    younger.write_text("made later\n")
    assert tail(younger, 100, then) == b""


def test_a_log_that_was_cut_meanwhile_gives_what_is_left(log: Path) -> None:
    then = lengths(log.parent)
    log.write_text("new\n")
    assert tail(log, 100, then) == b"new\n"


def test_what_cannot_be_read_gives_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "missing.log", 100, None) == b""
