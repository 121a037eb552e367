"""Socket files in the way of a queue: only what is dead and ours is removed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.preparation import stale_sockets
from launcher.preparation.owners import Owners


class _Owner:
    def __init__(self, is_dead: bool) -> None:
        self.is_dead = is_dead

    def describe(self) -> str:
        return "the instance one"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The path of a socket that was bound and has no listener any more."""
    path = tmp_path / "q.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    yield path
    path.unlink(missing_ok=True)


def owned(monkeypatch: pytest.MonkeyPatch, owner: _Owner | None) -> None:
    monkeypatch.setattr(Owners, "of_file", lambda *_: owner)


def test_nothing_there_is_no_problem(tmp_path: Path) -> None:
    assert stale_sockets.clear(str(tmp_path / "none"), 1, "ports.x") is None


def test_what_a_dead_instance_of_ours_left_is_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned(monkeypatch, _Owner(is_dead=True))
    assert stale_sockets.clear(str(path), 8182, "ports.x") is None
    assert not path.exists()


@pytest.mark.parametrize("owner", [None, _Owner(is_dead=False)])
def test_what_is_not_proven_ours_stays_and_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: _Owner | None
) -> None:
    owned(monkeypatch, owner)
    problem = stale_sockets.clear(str(path), 8182, "ports.x")
    assert problem is not None
    assert (problem.code, problem.where) == ("socket-left", "ports.x")
    assert str(path) in problem.message
    assert f"rm {path}" in (problem.remedy or "")
    assert path.exists()


@pytest.mark.parametrize("owner", [None, _Owner(is_dead=True)])
def test_a_listener_is_never_robbed(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: _Owner | None
) -> None:
    """Whatever a record says: who answers lives."""
    owned(monkeypatch, owner)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)
        problem = stale_sockets.clear(str(path), 8182, "ports.x")
        assert problem is not None
        assert problem.code == "port-taken"
        assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "q.sock"
    path.write_text("notes")
    problem = stale_sockets.clear(str(path), 8182, "ports.x")
    assert problem is not None
    assert (problem.code, path.read_text()) == ("socket-left", "notes")
