"""A line that an engine wrote after our first signal is not a cause, also without a keeper."""

import os
import shutil
from pathlib import Path

import pytest

from launcher.diagnose import log_lengths, of_folder
from launcher.files import lengths

CAUSE = "ValueError: Invalid quantization method: nope\n"
LATE = "ERROR 2026-01-02 03:04:05,000 7 engine.py[line:155] Failed to launch worker processes, check log/workerlog.* for more details.\n"  # noqa: E501 - one line of a log


def stopped(logs: Path, before: str, late: str = LATE) -> Path:
    """Logs of an engine that wrote `before`, got our signal, and then wrote `late`."""
    (logs / "engine").mkdir(parents=True)
    log, own = logs / "engine.log", logs / "engine" / "console.log"
    log.write_text(before)
    own.write_text("INFO loading\n")
    log_lengths.write(logs, "one:1", lengths(logs))
    for path in (log, own):
        with path.open("a") as file:
            file.write(late)
    (logs / "engine" / "later.log").write_text(late)
    return logs


@pytest.mark.parametrize("part", ["", "engine.log", "engine", "engine/console.log"])
def test_a_folder_of_logs_ends_at_our_signal(part: str, tmp_path: Path) -> None:
    diagnosis = of_folder(stopped(tmp_path / "logs", "INFO loading\n") / part)
    assert (diagnosis.rule_id, diagnosis.alternatives, diagnosis.first_errors) == (None, (), ())
    assert "left out" in " ".join(diagnosis.notes)


def test_what_came_before_is_the_cause(tmp_path: Path) -> None:
    diagnosis = of_folder(stopped(tmp_path / "logs", CAUSE))
    assert diagnosis.rule_id == "ED-FD-QUANTIZATION-INVALID"
    assert diagnosis.alternatives == ()


def test_logs_that_were_put_aside_are_cut_as_well(tmp_path: Path) -> None:
    """`up` moves an earlier run's logs to `logs/previous`; those of the next lie above."""
    logs = stopped(tmp_path / "logs", "INFO loading\n")
    previous = tmp_path / "previous"
    logs.rename(previous)
    logs.mkdir()
    previous = previous.rename(logs / "previous")
    for folder in (previous, previous / "engine", logs):
        assert of_folder(folder).rule_id is None, folder
    # The next run goes on, or was not ended by us: its own lines count to the end.
    (logs / "engine.log").write_text(f"INFO loading\n{LATE}")
    assert of_folder(previous).rule_id is None
    assert of_folder(logs).rule_id == "ED-FD-WORKER-LAUNCH-FAILED"


def test_a_log_that_was_rotated_is_cut_as_well(tmp_path: Path) -> None:
    logs = stopped(tmp_path / "logs", "INFO loading\n")
    os.rename(logs / "engine.log", logs / "engine.log.1")
    assert of_folder(logs).rule_id is None


def test_copies_and_logs_without_a_record_are_read_to_their_end(tmp_path: Path) -> None:
    logs = stopped(tmp_path / "logs", "INFO loading\n")
    copied = tmp_path / "copied"
    shutil.copytree(logs, copied)
    (logs / log_lengths.NAME).unlink()
    for folder in (copied, logs):
        diagnosis = of_folder(folder)
        assert (diagnosis.rule_id, diagnosis.notes) == ("ED-FD-WORKER-LAUNCH-FAILED", ())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "[" * 100_000, '{"schema": "ernie-deploy/log-lengths/1"}', "\0",
     '{"schema": "ernie-deploy/log-lengths/1", "token": "t", "lengths": {"1": "x"}}',
     '{"schema": "ernie-deploy/log-lengths/2", "token": "t", "lengths": {}}'],
)  # fmt: skip
def test_what_is_no_record_cuts_nothing(text: str, tmp_path: Path) -> None:
    logs = stopped(tmp_path / "logs", "INFO loading\n")
    (logs / log_lengths.NAME).write_text(text)
    assert log_lengths.read(logs) is None
    assert of_folder(logs).rule_id == "ED-FD-WORKER-LAUNCH-FAILED"


def test_the_first_note_of_a_start_stays(tmp_path: Path) -> None:
    """A guard comes after the keeper, a `down` after both: only the first signal counts."""
    log_lengths.write(tmp_path, "one:1", {"1": 10})
    log_lengths.write(tmp_path, "one:1", {"1": 99})
    assert log_lengths.of_start(tmp_path, "one:1") == {"1": 10}
    assert log_lengths.of_start(tmp_path, "one:2") is None
    log_lengths.write(tmp_path, "one:2", {"1": 20})
    assert log_lengths.of_start(tmp_path, "one:2") == {"1": 20}
    log_lengths.forget(tmp_path)
    assert log_lengths.read(tmp_path) is None
