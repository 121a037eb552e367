"""Files of the state: written whole or not at all, whatever lies in their place."""

import errno
import os
from pathlib import Path

import pytest

from launcher import files
from launcher.files import clear, open_append, read_text, write_atomically, write_over
from tests.support.wrong_things import THINGS, put


def test_a_write_that_fails_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("thing", THINGS)
def test_a_write_replaces_what_is_in_the_way(tmp_path: Path, thing: str) -> None:
    path = tmp_path / "plan.json"
    put(thing, path)
    write_atomically(path, "new")
    assert read_text(path) == "new"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("thing", [t for t in THINGS if t not in ("empty", "garbage")])
def test_reading_never_waits_and_takes_plain_files_only(tmp_path: Path, thing: str) -> None:
    put(thing, tmp_path / "plan.json")
    with pytest.raises(OSError, match=r"plain file|No such file|symbolic links|No such device"):
        read_text(tmp_path / "plan.json")


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EIO, errno.EACCES])
def test_every_step_of_a_write_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "plan.json"
    write_atomically(path, "old")

    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, call, refuse)
    monkeypatch.setattr(os, "unlink", refuse)  # what it began cannot be removed either
    with pytest.raises(OSError, match="no") as caught:
        write_atomically(path, "new")
    assert caught.value.errno == number
    monkeypatch.undo()
    assert read_text(path) == "old"
    write_atomically(path, "newer")  # over what was left
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda d, data: real(d, data[:3]))
    write_atomically(tmp_path / "plan.json", "longer than three")
    assert read_text(tmp_path / "plan.json") == "longer than three"


def test_writing_over_needs_the_room(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "x" * 3000)
    assert write_over(path, "short")
    assert read_text(path) == "short"
    assert not write_over(path, "x" * 1_000_000)
    assert not write_over(tmp_path / "missing", "")


@pytest.mark.parametrize("thing", THINGS)
def test_appending_begins_anew_where_no_plain_file_is(tmp_path: Path, thing: str) -> None:
    import os

    path = tmp_path / "events.jsonl"
    put(thing, path)
    before = path.read_bytes() if thing == "garbage" else b""
    descriptor = open_append(path)
    files.write_all(descriptor, b"more")
    os.close(descriptor)
    assert path.read_bytes() == before + b"more"


def test_a_folder_with_something_in_it_is_moved_aside(tmp_path: Path) -> None:
    put("full folder", tmp_path / "lock")
    clear(tmp_path / "lock")
    assert (tmp_path / ".lock.replaced" / "in it").exists()
