"""P, M, Q and C: taken before the start, stolen during the load, and the queue's low byte."""

from __future__ import annotations

import os
import socket

import pytest

from tests.fastdeploy.conftest import Make, Server
from tests.support.ports import free_port
from tests.support.waiting import wait_for


@pytest.mark.parametrize("name", ["api", "metrics", "engine-worker-queue", "cache-queue"])
def test_a_port_that_is_taken_is_found_before_the_load_with_its_holder(
    fastdeploy: Make, name: str
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()
        number = listener.getsockname()[1]
        server = fastdeploy(ports={name: number})
        up = server.up("--json")
    assert up.rc == 3, up.output()
    error = up.json["errors"][0]
    assert error["code"] == "port-taken"
    assert f"port {number} ({name}) is in use by pid {os.getpid()}" in error["message"]
    assert not server.files.exists


def test_a_host_that_is_not_this_machines_is_found_before_the_load(fastdeploy: Make) -> None:
    server = fastdeploy(host="203.0.113.77")
    up = server.up("--json")
    assert up.rc == 3, up.output()
    assert any("203.0.113.77 is not an address of this machine" in e["message"]
               for e in up.json["errors"]), up.output()  # fmt: skip


@pytest.mark.parametrize("ending", ["", "port-taken-orphan", "port-taken-abort", "port-taken-hang"])
def test_the_api_port_stolen_during_the_load_is_seen_whatever_ending_fastdeploy_takes(
    fastdeploy: Make, ending: str
) -> None:
    number = free_port()
    faults = ",".join(filter(None, ["late-start@phase=load@seconds=30", ending]))
    server = fastdeploy(faults, ports={"api": number}, stop={"grace": 5})
    with server.spawn_up() as up:
        server.wait_phase("load weights")
        with socket.socket() as thief:
            thief.bind(("127.0.0.1", number))
            thief.listen()
            _, stderr = up.communicate(timeout=600)
    assert up.returncode == 4, stderr
    assert f"port {number} (api) was taken by another process while the engine loaded" in stderr
    assert f"pid {os.getpid()}" in stderr


STEALABLE = [("api", "load"), ("metrics", "load"), ("engine-worker-queue", "import"),
             ("cache-queue", "import")]  # fmt: skip
"""Each while FastDeploy has looked at it, or will look, and has not bound it."""


STOLEN_AT = [
    pytest.param(
        address, name, phase,
        # One port shows what another address changes.
        marks=pytest.mark.soak if address == "127.0.0.1" and name != "api" else (),
    )
    for address in ("0.0.0.0", "127.0.0.1")
    for name, phase in STEALABLE
]  # fmt: skip


@pytest.mark.parametrize(("address", "name", "phase"), STOLEN_AT)
def test_a_port_stolen_during_the_load_is_told_at_once(
    fastdeploy: Make, name: str, phase: str, address: str
) -> None:
    """Not after the load, which here would never end."""
    number = free_port()
    late = f"late-start@phase={phase}@seconds=6000"
    tcp = {"FD_ENGINE_TASK_QUEUE_WITH_SHM": "0"}  # else the queue binds no port, and none is lost
    server = fastdeploy(late, ports={name: number}, stop={"grace": 5}, env=tcp)
    with server.spawn_up() as up:
        server.wait_phase("load weights" if phase == "load" else "import")
        with socket.socket() as thief:
            thief.bind((address, number))
            thief.listen()
            _, stderr = up.communicate(timeout=600)
    assert up.returncode == 4, stderr
    assert f"port {number} ({name}) was taken by another process" in stderr
    assert f"pid {os.getpid()}" in stderr
    assert server.left() == []


def test_the_number_of_a_queue_on_a_unix_socket_may_be_anybodys_port(fastdeploy: Make) -> None:
    number = free_port()
    server = fastdeploy("late-start@phase=load@seconds=60", ports={"engine-worker-queue": number})
    with server.spawn_up() as up:
        server.wait_phase("load weights")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", number))
            listener.listen()
            _, stderr = up.communicate(timeout=600)
    assert up.returncode == 0, stderr


def test_two_servers_side_by_side_answer_their_own_requests(fastdeploy: Make) -> None:
    first, second = fastdeploy(name=f"left-{os.getpid()}"), fastdeploy(name=f"right-{os.getpid()}")
    assert first.up().rc == 0
    assert second.up().rc == 0
    for server, word in ((first, "apple"), (second, "river"), (first, "stone")):
        answer = server.chat(f"Reply with exactly: {word}").json()
        assert word in answer["choices"][0]["message"]["content"]
    assert first.down().rc == 0
    assert second.chat("Reply with exactly: still").status_code == 200
    assert second.down().rc == 0


def test_a_queue_port_with_the_low_byte_of_a_running_server(fastdeploy: Make) -> None:
    """It is the same message queue up to 2.4; from 2.5 on the key holds 20 bits of the port."""
    first = fastdeploy()
    assert first.up().rc == 0
    taken = first.port("engine-worker-queue")
    conflicting = next(n for n in range(taken + 256, 65000, 256) if _free(n))
    second = fastdeploy(ports={"engine-worker-queue": conflicting})
    up = second.up("--json")
    if {key.bits for key in first.files.plan().leftovers.queues} == {8}:
        assert up.rc == 3, up.output()
        assert f"low byte {taken & 255}" in up.json["errors"][0]["message"]
    else:
        assert up.rc == 0, up.output()
        for server, word in ((first, "apple"), (second, "river")):
            answer = server.chat(f"Reply with exactly: {word}").json()
            assert word in answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_many_in_sequence_on_the_same_ports(fastdeploy: Make, times: int) -> None:
    ports = {name: free_port() for name in ("api", "metrics", "engine-worker-queue", "cache-queue")}
    server = fastdeploy(ports=ports)
    for _ in range(times):
        assert server.up().rc == 0
        assert server.down().rc == 0
        assert server.left() == []


def test_one_started_while_the_leftovers_of_a_killed_one_lie_about(fastdeploy: Make) -> None:
    server = fastdeploy()
    assert server.up().rc == 0
    _kill_everything(server)
    assert server.left(), "the twin leaves segments and a queue when it is killed"
    up = server.up("--json")
    assert up.rc == 0, up.output()
    assert any(event["event"] == "cleaned" for event in up.events)
    assert server.chat("Hello!").status_code == 200


def _kill_everything(server: Server) -> None:
    """As a memory killer or a reboot would: the keeper first, then all of the engine."""
    stored = server.files.state()
    assert stored is not None
    assert stored.keeper is not None
    os.kill(stored.keeper.pid, 9)
    for pid in server.processes():
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    wait_for(lambda: not server.processes(), "every process of the server to be gone")


def _free(number: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) != 0
