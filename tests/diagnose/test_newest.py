"""The newest telling lines of logs, and the rule for a health answer."""

from pathlib import Path

import pytest

from launcher.diagnose import LogFile, rule_of_answer
from launcher.diagnose.newest import newest_lines
from launcher.engines import rules
from launcher.keeper.output import LogFile as LogWriter
from launcher.keeper.output import Splitter


def log(folder: Path, name: str, *lines: str) -> LogFile:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return LogFile(path, name, raw=True)


def line(minute: int, level: str, text: str) -> str:
    return f"{level} 2021-01-09 10:{minute:02}:00,000 7 a.py[line:1] {text}"


def test_errors_come_first_and_then_where_the_files_ended(tmp_path: Path) -> None:
    files = [
        log(tmp_path, "a.log", line(1, "ERROR", "old"), line(2, "ERROR", "one"),
            line(5, "WARNING", "two"), line(6, "INFO", "works"),
            line(7, "INFO", '"GET /health 1"')),
        log(tmp_path, "b.log", line(3, "INFO", "loads"), "ValueError: three", "  100 %\r"),
        log(tmp_path, "empty.log"),
        LogFile(tmp_path / "rotated-away.log", "rotated-away.log", raw=True),
    ]  # fmt: skip
    lines = newest_lines(files, (), 0.0, (" /health ",))
    texts = [one.text.rpartition("] ")[2] for one in lines]
    assert sorted(texts) == ["100 %", "ValueError: three", "one", "two", "works"]
    numbers = {(one.file, one.line) for one in lines}
    assert numbers == {("a.log", 2), ("a.log", 3), ("a.log", 4), ("b.log", 2), ("b.log", 3)}


def test_of_files_without_errors_the_two_that_were_written_last_are_shown(tmp_path: Path) -> None:
    files = [log(tmp_path, f"{n}.log", line(n, "INFO", f"step {n}")) for n in (3, 1, 4, 2)]
    assert [one.file for one in newest_lines(files, (), 0.0)] == ["3.log", "4.log"]


def test_what_is_old_harmless_or_secret_is_not_shown(tmp_path: Path) -> None:
    source = log(
        tmp_path, "a.log", line(1, "ERROR", "before"), line(3, "ERROR", "well known"),
        line(4, "ERROR", "key sk-abcdefghijklmnopqrstuvwxyz0123456789 refused"),
    )  # fmt: skip
    (first,) = newest_lines([source], (), 0.0, ())[:1]
    assert "before" in first.text
    assert first.time is not None
    (only,) = newest_lines([source], ("well known",), first.time + 1, ())
    assert only.line == 3
    assert "abcdefghijkl" not in only.text


def test_only_the_end_of_a_large_file_is_looked_at(tmp_path: Path) -> None:
    source = log(tmp_path, "a.log", "ERROR: early", *["x" * 99] * 20_000, "ERROR: late")
    lines = newest_lines([source], (), 0.0, ())
    assert [(one.text, one.line) for one in lines] == [("ERROR: late", 20_002)]


@pytest.mark.parametrize("release", ["2.0", "2.4"])
@pytest.mark.parametrize(
    ("status", "body", "rule"),
    [
        (404, "Worker Service Not Healthy", "ED-FD-WORKER-SILENT"),
        (404, '{"detail":"Worker Service Not Healthy"}', "ED-FD-WORKER-SILENT"),
        (304, "", "ED-FD-WEIGHTS-CLEARED"),
        (404, '{"detail":"Not Found"}', None),
        (404, "", None),
        (500, "", None),
        (None, "", None),
    ],
)
def test_the_rule_of_a_health_answer(
    release: str, status: int | None, body: str, rule: str | None
) -> None:
    match = rule_of_answer(
        rules.book("fastdeploy").log_rules(),
        rules.failure_rules("fastdeploy", release),
        status,
        body,
    )
    assert (match and match.rule_id) == rule
    if match is not None:
        assert match.evidence is not None
        assert match.evidence.text == f"{status} {body}".strip()
        assert (match.evidence.file, match.evidence.line) == ("GET /health", 0)


def test_an_engine_without_a_rulebook_has_no_rule_for_an_answer() -> None:
    assert rule_of_answer(None, (), 304, "") is None
    assert rule_of_answer(None, (), 404, "Worker Service Not Healthy") is None


@pytest.mark.parametrize("length", [5_000, 15_000])
def test_the_rest_of_a_long_request_is_not_shown(tmp_path: Path, length: int) -> None:
    """Its beginning stands before what is looked at, or far before it."""
    path = tmp_path / "engine.log"
    captured, splitter = LogWriter(path, 10_000_000, 0), Splitter()
    request = b"INFO Receive request: {'prompt': '" + b"tell me of Beijing " * length + b"'}\n"
    captured.write("stdout", splitter.feed(b"before\n" * 10_000 + request + b"after\n"))
    captured.close()
    lines = newest_lines([LogFile(path, "engine.log", raw=True)], (), 0.0, ())
    assert lines[-1].text == "after"
    assert not any("Beijing" in one.text for one in lines)
