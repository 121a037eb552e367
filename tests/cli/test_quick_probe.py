"""The quick yes of `probe`: the words of the long way, and nothing but a plain yes."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launcher.cli.quick_probe import ask_quickly
from tests.support import cli
from tests.support.rig import Rig, rig

__all__ = ["rig"]
CLICK = "import sys; from launcher.cli.main import invoke; sys.exit(invoke(sys.argv[1:]))"


@pytest.mark.parametrize("kind", ["live", "ready", "startup"])
def test_a_keeper_says_yes_in_the_words_of_the_long_way(
    kind: str, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.up()
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(rig.home))
    reason = ask_quickly("one", kind)
    long = subprocess.run(
        [sys.executable, "-c", CLICK, "probe", "one", f"--{kind}"], capture_output=True, text=True,
        env={**cli.environment(rig.home), "ERNIE_DEPLOY_HOME": str(rig.home)},
    )  # fmt: skip
    assert (long.returncode, long.stdout, long.stderr) == (0, f"{reason}\n", "")
    quick = rig.run("probe", "one", f"--{kind}")
    assert (quick.rc, quick.stdout, quick.stderr) == (0, f"{reason}\n", "")
    rig.down()


class Keeper:
    """A socket that answers one line to each client."""

    def __init__(self, home: Path, answer: bytes) -> None:
        folder = home / "instances" / "one"
        folder.mkdir(parents=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(folder / "control.sock"))
        self._server.listen()
        self.requests: list[object] = []
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client:
                self.requests.append(json.loads(client.makefile("rb").readline()))
                client.sendall(self._answer)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "s"
    folder.mkdir()
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"v": 1, "ok": true, "passed": true, "reason": "idle"}\n', "idle"),
        (b'{"v": 1, "ok": true, "passed": false, "reason": "loading"}\n', None),
        (b'{"v": 1, "ok": false, "passed": true, "reason": "x"}\n', None),
        (b'{"v": 1, "ok": 1, "passed": "yes", "reason": "x"}\n', None),
        (b'{"v": 1, "ok": true, "passed": true, "reason": "a\\u001b[31m"}\n', None),
        (b'{"v": 1, "ok": true, "passed": true, "reason": "\\u5fd9"}\n', None),
        (b'{"v": 1, "ok": true, "passed": true}\n', None),
        (b"[]\n", None),
        (b"garbage\n", None),
        (b"", None),
        (b"x" * 10_000, None),
    ],
)
def test_only_a_plain_yes_is_taken(answer: bytes, expected: str | None, state: Path) -> None:
    keeper = Keeper(state, answer)
    try:
        assert ask_quickly("one", "ready") == expected
        assert keeper.requests == [{"v": 1, "op": "probe", "kind": "ready"}]
    finally:
        keeper.close()


@pytest.mark.parametrize("target", ["one.yaml", "./one", "..", ".one", "", "a b", "one/../one"])
def test_other_words_are_left_to_the_long_way(target: str, state: Path) -> None:
    keeper = Keeper(state, b'{"v": 1, "ok": true, "passed": true, "reason": "idle"}\n')
    try:
        assert ask_quickly(target, "ready") is None
        assert ask_quickly("one", "ready") == "idle"
        (state / "services" / "one").mkdir(parents=True)
        assert ask_quickly("one", "ready") is None, "a service is more than its instance"
    finally:
        keeper.close()


def test_a_keeper_that_is_silent_or_gone_is_left_to_the_long_way(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask_quickly("one", "ready") is None
    folder = state / "instances" / "one"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(folder / "control.sock"))
        server.listen()
        assert ask_quickly("one", "live") is None
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", os.path.relpath(state))
    assert ask_quickly("one", "live") is None, "a relative folder"
