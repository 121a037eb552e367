"""What is kept of the logs: their end, as it was when something went wrong."""

import json
from pathlib import Path

import pytest

from launcher.codec import encode
from launcher.files import lengths
from launcher.keeper.incident_collector import Tail, Task, collect, tail, without_secrets
from launcher.keeper.output import LogFile, Splitter
from launcher.log_records import EARLIER, LONGEST_RECORD
from launcher.plan.model import LaunchPlan
from launcher.redact import Redactor


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
    assert tail(log, limit, None)[1] == kept


def test_one_line_that_is_longer_than_the_limit_is_kept_by_its_end(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("Loading: 10% 20% 30%")
    assert tail(log, 4, None)[1] == b" 30%"


def test_what_was_written_after_the_incident_is_left_out(log: Path, tmp_path: Path) -> None:
    then = lengths(log.parent)
    with log.open("a") as file:
        file.write("four\n")
    assert tail(log, 7, then)[1] == b"three\n"
    assert tail(log, 7, None)[1] == b"four\n"
    younger = tmp_path / "logs" / "engine.log.1"
    younger.write_text("made later\n")
    assert tail(younger, 100, then)[1] == b""


def test_a_log_that_was_cut_meanwhile_gives_what_is_left(log: Path) -> None:
    then = lengths(log.parent)
    log.write_text("new\n")
    assert tail(log, 100, then)[1] == b"new\n"


def test_what_cannot_be_read_gives_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "missing.log", 100, None)[1] == b""


def test_what_stands_before_the_end_is_read_as_well(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("first\n" + "x" * EARLIER + "\nlast\n")
    assert tail(log, 6, None) == Tail(b"", b"last\n", is_whole=False), (
        "of the line before the beginning is missing"
    )
    log.write_text("first\nsecond\nlast\n")
    assert tail(log, 6, None) == Tail(b"first\nsecond\n", b"last\n", is_whole=False)
    assert tail(log, 600, None) == Tail(b"", b"first\nsecond\nlast\n", is_whole=True)


@pytest.mark.parametrize("begin", ["before its lines", "in its first line", "in its second line"])
def test_of_a_long_request_nothing_is_kept(tmp_path: Path, begin: str) -> None:
    """Wherever the end that is kept begins."""
    path = tmp_path / "engine.log"
    log, splitter = LogFile(path, 10_000_000, 0), Splitter()
    request = b"INFO Receive request: {'prompt': '" + b"tell me of Beijing " * 15_000 + b"'}\n"
    log.write("stdout", splitter.feed(b"before\n" * 40_000 + request + b"after\n"))
    log.close()
    size = path.stat().st_size - path.read_bytes().index(b"INFO Receive")
    limit = {"before": size + 1000, "in its first": size - 10, "in its second": size - 70_000}
    for name, count in limit.items():
        if begin.startswith(name):
            kept = without_secrets(tail(path, count, None), Redactor())
    assert kept.endswith(b"after\n")
    assert b"Beijing" not in kept
    assert len(kept) < LONGEST_RECORD


@pytest.mark.parametrize("odd", ["", "\u2028", "\x0c", "\x85"])
def test_a_whole_collection_keeps_nothing_of_a_long_request(tmp_path: Path, odd: str) -> None:
    """Although the end that is kept begins in it, and whatever ends of lines a model writes."""
    instance, folder = tmp_path / "one", tmp_path / "incident"
    for one in (instance / "logs", folder):
        one.mkdir(parents=True)
    plan = LaunchPlan(
        instance="one", engine="vllm", release="1", argv=("/bin/true",), cwd="/",
        log_folder=str(instance / "logs"), temporary_folder="/nowhere",
    )  # fmt: skip
    (instance / "plan.json").write_text(json.dumps(encode(plan)))
    log, splitter = LogFile(instance / "logs" / "engine.log", 10_000_000, 1), Splitter()
    question = f"tell me of Beijing{odd} "
    request = "INFO Receive request: {'prompt': '" + question * 20_000 + "'}\n"
    text = "before\n" * 40_000 + request + "after\n" * 8_000
    log.write("stdout", splitter.feed(text.encode()))
    log.close()
    (instance / "logs" / "engine.log.1").write_text("of the file before\n")
    assert collect(Task(folder, instance, most=0)).notes
    kept = (folder / "logs" / "engine.log").read_text()
    assert kept.endswith("after\n")
    assert "Beijing" not in kept
    assert "of the file before" not in kept, "there is a hole between"
