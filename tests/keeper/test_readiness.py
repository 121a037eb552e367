"""The port is waited for and the ladder climbed, before a real server and before a wrong one."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.keeper.loop import Loop
from launcher.keeper.readiness import Prover
from launcher.keeper.tree import Tree
from launcher.plan.model import LaunchPlan, PortUse, Readiness
from launcher.probe.readiness import Rung
from tests.support.ports import free_port
from tests.support.scripted_engine import SERVER


class Proof:
    """A prover of the server at `port`, and what it reports."""

    def __init__(self, port: int) -> None:
        self.loop = Loop()
        self.passed: list[Rung] = []
        self.failed: list[Rung] = []
        plan = LaunchPlan(
            "one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere",
            ports=(PortUse("api", port, "127.0.0.1"),),
            readiness=Readiness(
                "127.0.0.1", model="tiny",
                completion={"model": "tiny", "messages": [], "max_tokens": 4},
            ),
        )  # fmt: skip
        tree = Tree(self.loop, lambda process: None)
        self.prover = Prover(
            self.loop, plan, {}, tree, self.failed.append, self.passed.append
        )  # fmt: skip

    def wait(self) -> None:
        """Until it is decided."""
        decided = self.loop.run_until(lambda: self.prover.done or bool(self.failed), 60)
        assert decided, self.prover.last
        self.prover.close()


@contextmanager
def server(port: int, **script: object) -> Iterator["subprocess.Popen[bytes]"]:
    argv = [sys.executable, "-I", "-S", str(SERVER), str(port), json.dumps(script)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_server_that_opens_its_port_later_climbs_the_whole_ladder() -> None:
    port = free_port()
    proof = Proof(port)
    assert not proof.loop.run_until(lambda: bool(proof.passed or proof.failed), 0.1)
    with server(port) as process:
        proof.wait()
        assert proof.passed[0].evidence["pid"] == process.pid
    assert proof.failed == []
    names = [rung.name for rung in proof.passed]
    assert (names[0], names[1], names[-1]) == ("listening", "health", "completion")


def test_a_rung_that_is_climbed_again_is_no_news() -> None:
    """Health answers 503 twice: the first rung passes three times."""
    port = free_port()
    proof = Proof(port)
    with server(port, health=[503, 503, 200]):
        proof.wait()
    names = [rung.name for rung in proof.passed]
    assert len(names) == len(set(names))


def test_a_port_that_another_process_listens_on_cannot_be_proved() -> None:
    """This test's own process is not below itself, so it is another."""
    with socket.create_server(("127.0.0.1", 0)) as thief:
        proof = Proof(thief.getsockname()[1])
        proof.wait()
    assert proof.passed == []
    (rung,) = proof.failed
    assert (rung.name, rung.code) == ("listening", "port-taken-while-loading")


def test_after_the_end_no_answer_is_listened_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        proof = Proof(thief.getsockname()[1])
        proof.prover.close()
        assert not proof.loop.run_until(lambda: bool(proof.failed), 0.1)
