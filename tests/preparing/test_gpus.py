"""Which GPUs a start will be on, and whose they are."""

import os
import uuid
from pathlib import Path

import pytest

from launcher.host import gpus as host
from launcher.plan.model import LaunchPlan
from launcher.preparing import gpus
from launcher.preparing.leases import Leases


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
