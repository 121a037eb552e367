"""Which GPUs a start will be on, and whose they are."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from launcher.host import gpus as host
from launcher.host.gpus import Gpu, GpuProcess, GpuReport
from launcher.plan.model import LaunchPlan
from launcher.preparation import gpus
from launcher.preparation.leases import Leases


def plan(ranks: int, named: tuple[str, ...] | None = None) -> LaunchPlan:
    return LaunchPlan(
        "one", "scripted", "1.0", ("x",), "/tmp", "/logs", "/tmp/ed-x",
        gpus=named, gpu_ranks=ranks,
    )  # fmt: skip


@pytest.fixture
def four_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(host, "DEVICES", tmp_path)


@pytest.mark.usefixtures("four_gpus")
def test_the_gpus_of_a_start() -> None:
    assert gpus.cards(plan(2), {}) == ("0", "1"), "the first ones, as the engines take them"
    assert gpus.cards(plan(4), {}) == ("0", "1", "2", "10")
    assert gpus.cards(plan(1), {"CUDA_VISIBLE_DEVICES": "3, 5"}) == ("3",)
    assert gpus.cards(plan(2, ("2", "7")), {"CUDA_VISIBLE_DEVICES": "3"}) == ("2", "7")
    assert gpus.cards(plan(0), {"CUDA_VISIBLE_DEVICES": "3"}) == (), "a CPU build"
    assert gpus.cards(plan(0, ()), {}) == ()


def test_a_machine_without_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "DEVICES", tmp_path)
    assert gpus.cards(plan(1), {}) == ()


def test_a_gpu_is_held_by_one_at_a_time() -> None:
    card = f"GPU-{uuid.uuid4().hex}"
    first, second = Leases(), Leases()
    gpus.take((card,), first)
    try:
        gpus.take((card,), second)
        assert second.descriptors == []
        (who,) = gpus.holders((card,)).values()
        assert who.startswith(f"pid {os.getpid()} (")
        assert gpus.holders((card,), (os.getpid(),)) == {}, "our own does not count"
    finally:
        first.release()
    assert gpus.holders((card,)) == {}


SERVER = """
import signal, subprocess, sys
engine = subprocess.Popen(["sleep", "60"], user=65533)
signal.signal(signal.SIGTERM, lambda *_: engine.terminate())
print(engine.pid, flush=True)
engine.wait()
"""


def card(index: int, *pids: int) -> Gpu:
    return Gpu(index, f"GPU-{index}", "H100", (9, 0), 80 << 30, 80 << 30,
               tuple(GpuProcess(pid, None) for pid in pids))  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user, so root")
def test_what_another_user_has_on_a_gpu_the_driver_tells() -> None:
    """Leases are one user's; a server is told from other programs by its keeper."""
    sleeper = subprocess.Popen(["sleep", "60"], user=65533)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, "-m", "launcher.keeper", "/folder"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        engine = int(server.stdout.readline())
        report = GpuReport((card(0, sleeper.pid, os.getpid(), 2**22 + 5), card(1, engine)))
        first, second = gpus.foreign(("0", "GPU-1"), report)
        assert (first.card, first.pid, first.owner, first.instance) == (
            "0", sleeper.pid, 65533, False
        )  # fmt: skip
        assert (second.card, second.pid, second.instance) == ("GPU-1", engine, True)
        assert second.describe() == f"pid {engine} of uid 65533 (sleep 60)"
        assert gpus.foreign(("2",), report) == ()
    finally:
        for process in (sleeper, server):
            process.terminate()
            process.communicate()
