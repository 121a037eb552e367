"""Whose port is it: the first rung of readiness, looked at inside the keeper."""

import os
import socket
import sys
from collections.abc import Iterator, Sequence

import pytest

from launcher.keeper import identity
from launcher.keeper.identity import Process
from launcher.keeper.loop import Loop
from launcher.keeper.readiness import Prover
from launcher.keeper.tree import Tree
from launcher.plan.model import LaunchPlan, PortUse, Readiness
from launcher.probe.readiness import Rung


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which a process listens: this one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _ignore(rung: Rung) -> None:
    """What the prover says besides is not the subject here."""


def prover(port: int) -> Prover:
    plan = LaunchPlan(
        "one", "scripted", None, (sys.executable,), "/", "/", "/",
        ports=(PortUse("api", port, "127.0.0.1"),), readiness=Readiness("127.0.0.1"),
    )  # fmt: skip
    loop = Loop()
    return Prover(loop, plan, {}, Tree(loop, lambda process: None), _ignore, _ignore)


def looks(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[Process]) -> None:
    """What the tree consists of at each look; the last answer holds from then on."""
    remaining = list(answers)

    def descendants(root: Process) -> Sequence[Process]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    monkeypatch.setattr(identity, "descendants", descendants)


def test_a_process_that_was_started_between_two_looks_is_ours(
    listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(monkeypatch, (), (identity.myself(),))
    rung = prover(listening)._ownership()
    assert (rung.verdict, rung.evidence["pid"]) == ("passed", os.getpid())


def test_a_process_that_is_not_ours_at_two_looks_has_taken_the_port(
    listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(monkeypatch, ())
    rung = prover(listening)._ownership()
    assert (rung.verdict, rung.code) == ("failed", "port-taken-while-loading")
    assert str(os.getpid()) in rung.message
