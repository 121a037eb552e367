"""The keeper's own files are made anew where they were removed or replaced, one by one."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import files, paths
from launcher.keeper import loop as loop_module
from launcher.keeper import own_files
from launcher.keeper.admin.endpoint import Endpoint
from launcher.keeper.events import read_events
from launcher.keeper.loop import Loop
from launcher.keeper.own_files import OwnFiles
from launcher.keeper.record import Record
from launcher.keeper.server import Server
from launcher.keeper.tree import Tree
from launcher.plan.model import LaunchPlan, PortUse
from tests.support.clock import StillClock
from tests.support.descriptors import no_descriptor_left


class Kept:
    """An instance's folder with a lock, as a keeper has it; `check` looks at it once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths.private_folder(folder / "logs" / "engine")
        self.plan = LaunchPlan(
            "one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere",
            ports=(PortUse("admin", 0, "", socket=str(folder / "admin.sock")),),
        )  # fmt: skip
        self.loop = Loop()
        tree = Tree(self.loop, lambda process: None)
        self.record = Record(folder, self.plan, "one:abc", tree, ())
        self.record.write()
        self.server = Server(self.loop, folder, dict)
        self.lock = folder / "lock"
        self._descriptor = files.open_append(self.lock)
        assert files.try_lock(self._descriptor)

    def watch(self, endpoint: Endpoint | None = None) -> OwnFiles:
        """Begin to look after the files."""
        descriptor = self._descriptor
        return OwnFiles(self.loop, self.folder, self.record, self.server, endpoint, descriptor)

    def warnings(self) -> list[object]:
        """What the history tells about them."""
        events = read_events(self.folder)
        return [event["message"] for event in events if event["event"] == "warning"]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    new = Kept(tmp_path / "one")
    yield new
    new.server.close()


def test_what_is_in_its_place_is_left_alone(kept: Kept) -> None:
    own = kept.watch()
    before = kept.lock.stat().st_ino
    own.check()
    own.close()
    assert kept.warnings() == []
    assert kept.lock.stat().st_ino == before


def test_a_lock_that_was_removed_is_locked_again(kept: Kept) -> None:
    own = kept.watch()
    kept.lock.unlink()
    own.check()
    own.close()
    assert kept.warnings() == ["lock was removed or replaced; made anew"]
    assert files.is_locked(kept.lock)


def test_a_new_lock_that_a_command_holds_is_taken_once_it_lets_go(kept: Kept) -> None:
    own = kept.watch()
    kept.lock.unlink()
    command = files.open_append(kept.lock)
    assert files.try_lock(command)
    own.check()
    assert kept.warnings() == [], "it is not ours yet"
    os.close(command)
    assert kept.loop.run_until(lambda: bool(kept.warnings()), 60)
    own.close()
    assert kept.warnings() == ["lock was removed or replaced; made anew"]
    assert files.is_locked(kept.lock)


def test_what_cannot_be_made_anew_is_told_once_and_tried_again_soon(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a descriptor inotify is missing, too: only the look now and then."""
    clock = StillClock(monkeypatch, loop_module)
    with no_descriptor_left():
        own = kept.watch()
    kept.lock.unlink()
    with no_descriptor_left():
        own.check()
        own.check()
    failed = "lock was removed or replaced and cannot be made anew: Too many open files"
    assert kept.warnings() == [failed]
    clock.now += own_files.LOOK / 2
    assert kept.loop.run_until(kept.lock.exists, 0.01)
    own.close()
    assert kept.warnings() == [failed, "lock was removed or replaced; made anew"]


def test_the_endpoints_socket_is_listened_on_again(kept: Kept) -> None:
    interval = sys.getswitchinterval()
    endpoint = Endpoint(kept.loop, kept.folder, kept.plan, kept.record, lambda: True)
    try:
        own = kept.watch(endpoint)
        (kept.folder / "admin.sock").unlink()
        own.check()
        own.close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(kept.folder / "admin.sock"))
            client.settimeout(600)
            client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
    finally:
        endpoint.close()
        sys.setswitchinterval(interval)
    assert kept.warnings() == ["admin.sock was removed or replaced; made anew"]
