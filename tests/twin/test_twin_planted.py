"""Faults that a drill switches on while the twin runs, and off again."""

from pathlib import Path

import pytest

from launcher.drill.planted import CONTROL, DECLARED
from tests.twin.conftest import Start
from tests.twin.driver import wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The private folder that a keeper gives an engine."""
    path = tmp_path / "private"
    path.mkdir()
    return path


def kept(folder: Path) -> dict[str, str]:
    """The environment of an engine that a keeper has started."""
    return {"TMPDIR": str(folder), "ERNIE_DEPLOY_INSTANCE": "one:0123456789abcdef"}


def test_faults_are_declared_and_played_as_long_as_they_are_planted(
    start: Start, folder: Path
) -> None:
    twin = start(environment=kept(folder)).wait_ready()
    declared = (folder / DECLARED).read_text().split()
    assert declared == ["health-304", "health-404", "chat-hangs", "chat-slow", "answer-empty"]
    control = folder / CONTROL
    control.write_text("health-304")
    assert twin.health() == 304
    control.write_text("answer-empty")
    assert twin.health() == 200
    assert twin.says("Hello") == ""
    control.write_text("health-404")
    wait_for("the old heartbeat", lambda: twin.health() == 404)
    control.unlink()
    wait_for("a new heartbeat", lambda: twin.health() == 200)
    assert twin.says("Hello") != ""


def test_without_a_keeper_nothing_is_declared(start: Start, folder: Path) -> None:
    start(environment={"TMPDIR": str(folder)}).wait_ready()
    assert not (folder / DECLARED).exists()
