"""sd_notify to a real datagram socket."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.keeper.loop import Loop
from launcher.keeper.notify import Notifier
from tests.support import ROOT
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


def fill(supervisor: Supervisor) -> None:
    """Messages of other services, as many as systemd's queue takes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as second:
        second.connect(supervisor.address)
        for _ in range(100_000):
            try:
                second.send(b"other")
            except BlockingIOError:
                return
    raise AssertionError("the queue has no end")


def test_a_supervisor_that_is_busy_holds_nothing_up(supervisor: Supervisor) -> None:
    """On the old way the keeper stood still until systemd had read: no death was noticed."""
    code = (
        "import sys; from launcher.keeper.notify import Notifier\n"
        "notifier = Notifier({'NOTIFY_SOCKET': sys.argv[1]})\n"
        "for number in range(1000): notifier.send(f'WATCHDOG={number}')\n"
        "print('done')"
    )
    fill(supervisor)
    ran = subprocess.run(
        [sys.executable, "-c", code, supervisor.address], capture_output=True, text=True,
        cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert ran.stdout == "done\n", ran.stderr


def test_what_found_no_room_is_sent_later_the_newest_of_each_kind(supervisor: Supervisor) -> None:
    loop = Loop()
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.address}, loop)
    fill(supervisor)
    notifier.send("READY=1\nSTATUS=ready")
    for number in range(50):
        notifier.send(f"STATUS={number}")
    loop.run_until(lambda: False, 0.05)
    assert {*supervisor.listen()} == {"other"}
    assert loop.run_until(lambda: "STATUS=49" in supervisor.listen(), 60)
    messages = [message for message in supervisor.heard if message != "other"]
    assert messages == ["READY=1\nSTATUS=ready", "STATUS=49"]


def test_a_message_overtakes_none_that_waits(supervisor: Supervisor) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.address})
    fill(supervisor)
    notifier.send("READY=1")
    supervisor.listen()
    notifier.send("STOPPING=1")
    assert supervisor.listen()[-2:] == ["READY=1", "STOPPING=1"]


def test_nothing_waits_for_a_supervisor_that_is_gone(tmp_path: Path) -> None:
    loop = Loop()
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nothing")}, loop)
    notifier.send("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.bind(str(tmp_path / "nothing"))
        late.setblocking(False)
        loop.run_until(lambda: False, 0.7)
        with pytest.raises(BlockingIOError):
            late.recv(100)


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
    liveness = {"interval": 3, "stall-after": 9, "canary": False, "canary-deadline": 9}
    profile = rig.profile(script=script, liveness=liveness, restart={"policy": "never"})
    process = rig.spawn("up", profile, "--foreground")

    wait_for(lambda: any("EXTEND_TIMEOUT_USEC" in m for m in supervisor.listen()), "more time")
    assert not any(m.startswith("READY=1") for m in supervisor.listen())
    assert "STATUS=load weights" in supervisor.listen()
    Path(go).touch()
    wait_for(lambda: any(m.startswith("READY=1") for m in supervisor.listen()), "READY")
    assert rig.keeper() == process.pid, "systemd watches this pid"
    fed = supervisor.listen().count("WATCHDOG=1")
    wait_for(lambda: supervisor.listen().count("WATCHDOG=1") > fed, "the watchdog fed when ready")
    os.kill(rig.engine(), signal.SIGSTOP)

    def is_stalled() -> bool:
        supervisor.listen()  # what finds no room is sent later
        return (rig.stored().get("liveness") or {}).get("verdict") == "stalled"

    wait_for(is_stalled, "a stall")
    fed = supervisor.listen().count("WATCHDOG=1")
    assert rig.run("status", "one").rc == 1, "that takes longer than systemd's interval"
    assert supervisor.listen().count("WATCHDOG=1") == fed, "not fed for an engine that is stalled"
    os.kill(rig.engine(), signal.SIGCONT)
    wait_for(lambda: supervisor.listen().count("WATCHDOG=1") > fed, "the watchdog fed again")
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
