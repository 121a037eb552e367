"""`state.json`: whole or not at all, and believed only when it can be."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from launcher import files
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.state import (
    STATE_SCHEMA,
    DamagedState,
    State,
    read_state,
    write_state,
)
from launcher.lifecycle import InstanceState

PROCESS = ProcessClaim(12, 34, 12, "python")


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State(
        "one", "one:abc", state=InstanceState.READY, processes=[PROCESS], ports={"api": 20001}
    )
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"], "no temporary file stays"


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


def test_keys_of_a_newer_writer_are_left_out(tmp_path: Path) -> None:
    data = {"schema": STATE_SCHEMA, "instance": "one", "token": "t", "invented-later": 5}
    (tmp_path / "state.json").write_text(json.dumps(data))
    assert read_state(tmp_path) == State("one", "t")


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "ernie-deploy/state/2"},
        {"token": None},
        {"instance": 7},
        {"keeper": {"pid": "12", "start": 5}},
        {"keeper": {"pid": 12}},
        {"processes": {"12": 34}},
        {"processes": [12]},
        {"processes": [{"pid": 12}]},
        {"sessions": ["12"]},
        {"sessions": 12},
        {"sessions": [{"id": 12}]},
        {"sessions": [{"id": 12, "seen": "1"}]},
        {"shm": [{"path": "/dev/shm/x"}]},
        {"temporary": [{"path": 5, "device": 1, "inode": 2}]},
        {"queues": [{"id": 5}]},
        {"started_at": "yesterday"},
        {"ports": None},
    ],
)
def test_a_state_of_another_shape_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    document = {"schema": STATE_SCHEMA, "instance": "one", "token": "t"}
    (tmp_path / "state.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(DamagedState, match=r"state\.json"):
        read_state(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_state_is_damaged(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "state.json").write_bytes(text)
    with pytest.raises(DamagedState):
        read_state(tmp_path)


def test_a_folder_in_its_place_is_damage(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    with pytest.raises(DamagedState):
        read_state(tmp_path)


def test_a_reader_never_sees_a_half(tmp_path: Path) -> None:
    stop = threading.Event()
    write_state(tmp_path, State("one", "t"))

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            state = State("one", "t", evidence={"text": "x" * (number % 50 * 1000)})
            write_state(tmp_path, state)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        states = [read_state(tmp_path) for _ in range(200)]
    finally:
        stop.set()
        writer.join()
    assert all(states)


def test_a_path_that_is_no_text_can_be_stored(tmp_path: Path) -> None:
    name = os.fsdecode(b"/models/\xff")
    write_state(tmp_path, State("one", "t", evidence={"path": name}))
    state = read_state(tmp_path)
    assert state is not None
    assert state.evidence == {"path": name}


@pytest.mark.parametrize(
    ("number", "room", "written"),
    [
        (errno.ENOSPC, True, True),
        (errno.EDQUOT, True, True),
        (errno.ENOSPC, False, False),
        (errno.EROFS, True, False),
    ],
)
def test_on_a_full_disk_the_last_word_replaces_the_old_one_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, room: bool, written: bool
) -> None:
    write_state(tmp_path, State("one", "t", state=InstanceState.READY))
    over = files.write_over

    def full(path: Path, text: str) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(files, "write_atomically", full)
    monkeypatch.setattr(files, "write_over", lambda path, text: room and over(path, text))
    if written:
        write_state(tmp_path, State("one", "t", state=InstanceState.DIED))
    else:
        with pytest.raises(OSError, match="no"):
            write_state(tmp_path, State("one", "t", state=InstanceState.DIED))
    stored = read_state(tmp_path)
    assert stored is not None
    assert stored.state == ("died" if written else "ready")
