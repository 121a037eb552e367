"""sd_notify to a real datagram socket."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.keeper.loop import Loop
from launcher.keeper.notify import Notifier
from tests.support.rig import Rig
from tests.support.waiting import wait_for


class Supervisor:
    """systemd's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Everything that was said so far, message by message."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    server = Supervisor(str(tmp_path / "notify"))
    yield server
    server.close()


def test_without_systemd_nothing_is_sent() -> None:
    notifier = Notifier({})
    notifier.send("READY=1")
    assert not notifier.active


def test_a_message_arrives(supervisor: Supervisor) -> None:
    Notifier({"NOTIFY_SOCKET": supervisor.address}).send("READY=1\nSTATUS=上海")
    assert supervisor.listen() == ["READY=1\nSTATUS=上海"]


def test_an_abstract_socket() -> None:
    supervisor = Supervisor(f"@ernie-deploy-test-{os.getpid()}")
    Notifier({"NOTIFY_SOCKET": supervisor.address}).send("READY=1")
    assert supervisor.listen() == ["READY=1"]
    supervisor.close()


def test_a_supervisor_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nothing")}).send("READY=1")


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "4000000"}, 2.0),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time(
    variables: dict[str, str], seconds: float | None
) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/x", **variables}).watchdog_seconds == seconds


def test_only_a_living_server_feeds_the_watchdog(supervisor: Supervisor) -> None:
    loop, answers = Loop(), [True, True, False, False, True]
    env = {"NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "20000"}

    def alive() -> bool:
        return answers.pop(0) if answers else False

    Notifier(env).feed_watchdog(loop, alive)
    loop.run_until(lambda: not answers, 60)
    assert supervisor.listen() == ["WATCHDOG=1"] * 3


def test_a_whole_life_under_systemd(rig: Rig, supervisor: Supervisor) -> None:
    """READY only when proved, the start time-out extended while loading, STOPPING at SIGTERM."""
    env_file, go = rig.path("env"), rig.path("go")
    script = {"before": [{"print": "PHASE weights"}, {"env": env_file}, {"wait": go}]}
    rig.env.update(
        NOTIFY_SOCKET=supervisor.address, WATCHDOG_USEC="400000", LISTEN_FDS="1", LISTEN_PID="1",
    )  # fmt: skip
    process = rig.spawn("up", rig.profile(script=script), "--foreground")

    wait_for(lambda: any("EXTEND_TIMEOUT_USEC" in m for m in supervisor.listen()), "more time")
    assert not any(m.startswith("READY=1") for m in supervisor.listen())
    assert "STATUS=load weights" in supervisor.listen()
    Path(go).touch()
    wait_for(lambda: any(m.startswith("READY=1") for m in supervisor.listen()), "READY")
    assert rig.keeper() == process.pid, "systemd watches this pid"
    fed = supervisor.listen().count("WATCHDOG=1")
    wait_for(lambda: supervisor.listen().count("WATCHDOG=1") > fed, "the watchdog fed when ready")
    os.kill(rig.engine(), signal.SIGSTOP)  # the first process lives: that is what is asked
    os.kill(rig.engine(), signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=600)

    assert process.returncode == 0, stderr
    assert any(m.startswith("STOPPING=1") for m in supervisor.listen())
    names = json.loads(Path(env_file).read_text())
    assert not [n for n in names if n.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_"))]
    assert "ready http://127.0.0.1" in stderr
    rig.nothing_left()


def test_a_start_that_fails_in_the_foreground_says_why_and_how(rig: Rig) -> None:
    ran = rig.run(
        "up", rig.profile(script={"before": [{"error": "FATAL bad luck"}]}), "--foreground"
    )  # fmt: skip
    assert ran.rc == 4, ran.output()
    assert ran.stderr.count("it said bad luck") == 1, ran.output()
    rig.nothing_left()
