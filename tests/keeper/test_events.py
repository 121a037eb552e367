"""`events.jsonl`: appended to, bounded, and readable whatever happened to it."""

import errno
import os
from pathlib import Path

import pytest

from launcher import files
from launcher.keeper.events import LARGEST, Events, read_events
from tests.support.as_json import as_json
from tests.support.wrong_things import put


def test_events_are_appended_and_torn_ones_left_out(tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.append("state", state="loading")
    events.close()
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event": "torn", "ti\n[1]\n')
    events = Events(tmp_path)
    events.append("state", state="ready", text="\ud800 上海")
    events.close()
    assert [e.get("state") for e in read_events(tmp_path)] == ["loading", "ready"]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_full_disk_loses_events_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Events(tmp_path)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    is_written = events.append("phase", phase="weights")
    events.close()
    assert is_written["phase"] == "weights", "a listener gets it anyway"
    assert events.lost == 1


def test_the_history_is_bounded_and_keeps_what_its_readers_need(tmp_path: Path) -> None:
    """An instance that lives for months: a start, then warnings without an end."""
    events = Events(tmp_path)
    for state in ("starting", "loading", "ready"):
        events.append("state", state=state)
    for number in range(40_000):
        events.append("warning", message=f"{number} " + "x" * 80)
        if number % 10_000 == 0:
            events.append("restart", number=number)
    events.append("stop", reason="down")
    events.close()

    assert size(tmp_path) < 2 * LARGEST + 256 * 1024
    read = as_json(read_events(tmp_path))
    assert [e["state"] for e in read if e["event"] == "state"] == ["starting", "loading", "ready"]
    assert [e["number"] for e in read if e["event"] == "restart"] == [0, 10_000, 20_000, 30_000]
    assert read[-1]["reason"] == "down"
    numbers = [int(e["message"].split()[0]) for e in read if e["event"] == "warning"]
    assert numbers == list(range(numbers[0], 40_000)), "the newest, in order, without a gap"


def test_milestones_without_an_end_are_bounded_too(tmp_path: Path) -> None:
    events = Events(tmp_path)
    for number in range(20_000):
        events.append("state", state="ready", number=number, text="x" * 60)
    events.close()
    assert size(tmp_path) < 2 * LARGEST + 256 * 1024
    assert as_json(read_events(tmp_path))[-1]["number"] == 19_999


def test_one_event_is_bounded(tmp_path: Path) -> None:
    """An engine's line of megabytes, quoted in an error."""
    events = Events(tmp_path)
    events.append("state", state="failed", error={"message": "x" * 5_000_000, "code": "c"})
    events.close()
    assert size(tmp_path) < 64 * 1024
    assert as_json(read_events(tmp_path))[0]["error"]["code"] == "c"


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_disk_that_takes_no_new_file_keeps_it_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    events = Events(tmp_path)

    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, call, refuse)
    for number in range(20_000):
        events.append("warning", message=f"{number} " + "x" * 80)
    monkeypatch.undo()
    events.close()
    assert size(tmp_path) < 2 * LARGEST + 256 * 1024
    assert as_json(read_events(tmp_path))[-1]["message"].startswith("19999 ")


def test_a_history_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files, "open_append", refuse)
    events = Events(tmp_path)
    assert events.append("state", state="loading")["state"] == "loading"
    assert events.lost == 1
    monkeypatch.undo()
    events.append("state", state="ready")
    events.close()
    assert [e["state"] for e in read_events(tmp_path)] == ["ready"]


@pytest.mark.parametrize("thing", ["folder", "full folder", "link", "pipe", "socket"])
def test_what_lies_in_its_place_makes_room(tmp_path: Path, thing: str) -> None:
    path = tmp_path / "events.jsonl"
    put(thing, path)
    events = Events(tmp_path)
    events.append("state", state="ready")
    assert events.in_place()
    path.unlink()
    put(thing, path)
    assert not events.in_place()
    events.restore()
    events.close()
    assert [e["state"] for e in read_events(tmp_path)] == ["ready"], "with what it held"


@pytest.mark.parametrize("name", ["events.jsonl.1", "events.jsonl-20260102"])
def test_a_history_that_others_rotated_is_told_once(tmp_path: Path, name: str) -> None:
    """logrotate moves it, possibly to the very name of our own older history."""
    events = Events(tmp_path)
    events.append("state", state="loading")
    (tmp_path / "events.jsonl").rename(tmp_path / name)
    events.append("state", state="ready")
    assert not events.in_place()
    events.restore()
    events.append("state", state="stopped")
    events.close()
    assert [e["state"] for e in read_events(tmp_path)] == ["loading", "ready", "stopped"]


def test_a_history_that_was_copied_and_truncated_goes_on(tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.append("state", state="loading")
    path = tmp_path / "events.jsonl"
    (tmp_path / "events.jsonl.1").write_bytes(path.read_bytes())
    path.write_bytes(b"")
    assert events.in_place()
    events.append("state", state="ready")
    events.close()
    assert [e["state"] for e in read_events(tmp_path)] == ["loading", "ready"]
    assert b"\0" not in path.read_bytes()


def test_a_text_may_hold_what_python_takes_for_the_end_of_a_line(tmp_path: Path) -> None:
    """JSON leaves U+2028 and U+0085 as they are."""
    events = Events(tmp_path)
    for number in range(8_000):
        events.append("restart", number=number, cause="one\u2028two\u0085three" + "x" * 60)
    events.close()
    history = read_events(tmp_path)
    assert [event["number"] for event in history][-1] == 7_999
    assert len(history) > LARGEST // 140, "what a rotation keeps is read as well"
    assert {event["cause"] for event in history} == {"one\u2028two\u0085three" + "x" * 60}
