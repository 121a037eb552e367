"""A keeper without a free descriptor goes on, does not spin, and is asked again afterwards."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.files import wait_until_ready
from launcher.keeper.control import folder_address
from tests.support import ROOT, processes
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def let_have(pid: int, more: int | None) -> None:
    """Let a process open so many more files; None: as many as it may."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
    # The lowest free number is what the kernel compares with the limit.
    free = next(n for n in range(max(used) + 2) if n not in used)
    limit = hard if more is None else free + more
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))


def connect(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    descriptor, address = folder_address(folder)
    try:
        client.connect(address)
    finally:
        os.close(descriptor)
    return client


@pytest.mark.parametrize("more", [0, 2])
def test_a_running_keeper_without_descriptors(rig: Rig, more: int) -> None:
    rig.up()
    keeper, engine = rig.keeper(), rig.engine()
    pidfd = os.pidfd_open(keeper)
    clients: list[socket.socket] = []
    try:
        let_have(keeper, more)
        with contextlib.suppress(BlockingIOError):
            for _ in range(20):
                clients.append(connect(rig.instance()))
        before = cpu_seconds(keeper)
        # Longer than its longest tick: it looks for its engine's processes, in vain.
        assert not wait_until_ready(pidfd, 8), (rig.instance() / "logs/keeper.log").read_text()
        used = cpu_seconds(keeper) - before
        assert used < 3, f"{used} s of processor in 8 s: it spins"
        assert processes.alive(engine)
        for client in clients:
            client.close()
        let_have(keeper, None)
        ran = rig.run("status", "one", "--json")
        assert ran.rc == 0, ran.output()
    finally:
        os.close(pidfd)
        let_have(keeper, None)
    down = rig.down()
    assert down.json["data"]["receipt"]["processes"] == 0


def test_a_death_is_noticed_without_a_descriptor(rig: Rig) -> None:
    """The pidfd of the engine is open already; what its end leaves behind is looked for later."""
    rig.up(restart=NEVER)
    keeper = rig.keeper()
    let_have(keeper, 0)
    rig.kill(rig.engine())
    wait_for(
        lambda: rig.stored().get("state") == "failed" or not processes.alive(keeper), "its end"
    )
    if processes.alive(keeper):
        let_have(keeper, None)
    rig.run("down", "one")
    rig.nothing_left()


SPIN = """
import os, resource, socket, sys, time
from pathlib import Path
from launcher.keeper.loop import Loop
from launcher.keeper.server import Server
from launcher.keeper.control import folder_address

folder = Path(sys.argv[1])
loop = Loop()
server = Server(loop, folder, lambda request: {"ok": True})
clients = []
for _ in range(5):
    client = socket.socket(socket.AF_UNIX)
    descriptor, address = folder_address(folder)
    client.connect(address)
    os.close(descriptor)
    clients.append(client)
hoard = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True: hoard.append(os.dup(0))
except OSError:
    pass
turns = 0
real = loop._once
def counted(end):
    global turns
    turns += 1
    real(end)
loop._once = counted
loop.run_until(lambda: False, 1.5)
print(turns)
for one in hoard: os.close(one)
clients[-1].sendall(b"{}\\n")
clients[-1].setblocking(False)
answer = []
def answered():
    try: answer.append(clients[-1].recv(1000))
    except BlockingIOError: pass
    return bool(answer)
print(loop.run_until(answered, 60), b'"ok": true' in answer[0])
"""


def test_who_waits_to_be_accepted_does_not_wake_the_loop_again_and_again(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SPIN, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    turns, answer = ran.stdout.splitlines() or [ran.stderr, ""]
    assert answer == "True True", ran.stderr
    assert int(turns) < 50, "1.5 s at five tries a second"
