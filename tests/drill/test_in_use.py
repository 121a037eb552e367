"""A drill refuses an instance that has other clients."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from launcher.drill.in_use import refuse_if_used
from launcher.drill.subject import Subject
from launcher.errors import PreconditionError
from launcher.host.sockets import connections_to
from launcher.instance.store import InstanceDir
from tests.drill.conftest import run_drill, up
from tests.support.rig import Rig
from tests.support.waiting import wait_for

CLIENT = "import socket, sys, time; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\nprint('there', flush=True); time.sleep(600)"  # noqa: E501


def subject(rig: Rig) -> Subject:
    return Subject.of(InstanceDir(rig.instance()))


@contextlib.contextmanager
def client(port: int) -> Iterator[int]:
    """Another process that keeps a connection open, as a client's pool does; its pid."""
    argv = [sys.executable, "-c", CLIENT, str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        yield process.pid
        process.kill()


def test_an_instance_without_clients_may_be_drilled(rig: Rig) -> None:
    up(rig)
    refuse_if_used(subject(rig), watched=0.5)
    rig.down()


def test_another_client_is_named(rig: Rig) -> None:
    up(rig)
    one = subject(rig)
    with client(one.api_port) as pid, pytest.raises(PreconditionError) as raised:
        refuse_if_used(one, watched=0.5)
    (problem,) = raised.value.problems
    assert problem.code == "in-use"
    assert f"pid {pid}" in problem.message
    rig.down()


def test_our_own_connection_does_not_count(rig: Rig) -> None:
    up(rig)
    one = subject(rig)
    with socket.create_connection(("127.0.0.1", one.api_port)):
        wait_for(lambda: connections_to(one.api_port), "the connection")
        refuse_if_used(one, watched=0.3)
    rig.down()


def test_the_verb_refuses_with_3_and_breaks_nothing(rig: Rig) -> None:
    up(rig)
    engine = rig.engine()
    with client(subject(rig).api_port):
        ran = rig.run("drill", "one", "--yes", "--scenario", "kill-main", "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["in-use"])
    assert rig.engine() == engine
    os.kill(engine, 0)
    rig.down()


def test_it_can_be_forced(rig: Rig) -> None:
    up(rig)
    with client(subject(rig).api_port):
        ran = run_drill(rig, "--scenario", "kill-main")
    assert ran.json["data"]["scenarios"][0]["verdict"] in ("pass", "miss"), ran.output()
    rig.down()


def test_the_other_end_of_a_connection_over_ipv6_is_found() -> None:
    """A server on `::` has clients of IPv4 by a mapped address."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as near:
            inode = os.fstat(near.fileno()).st_ino
            (connection,) = connections_to(port)
            assert (connection.address, connection.peer_inode) == ("127.0.0.1", inode)
