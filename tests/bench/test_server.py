"""The server's own figures: the memory of the GPUs that it is on, named by its profile or not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.bench.result import Sample
from launcher.bench.server import server_of
from launcher.codec import encode
from launcher.host import gpus
from launcher.instance.store import InstanceDir
from tests.keeper.test_watch import PLAN

SMI = """#!/bin/sh
test "$1" = "--query-gpu=index,uuid,memory.used,memory.total" || exit 9
echo "0, GPU-aaaa, 1000, 81559"
echo "1, GPU-bbbb, 70000, 81559"
"""
"""A machine with two cards; only GPUs are simulated."""
MIB = 1 << 20


@pytest.fixture(autouse=True)
def two_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidia1"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def instance(folder: Path, name: str, named: tuple[str, ...] | None, ranks: int) -> InstanceDir:
    plan = replace(PLAN, instance=name, gpus=named, gpu_ranks=ranks)
    (folder / name).mkdir()
    (folder / name / "plan.json").write_text(json.dumps(encode(plan)))
    return InstanceDir(folder / name)


@pytest.mark.parametrize(
    ("named", "ranks", "used"),
    [
        (None, 1, (1000 * MIB,)),
        (None, 2, (1000 * MIB, 70000 * MIB)),
        (("1",), 1, (70000 * MIB,)),
        (("GPU-bbbb",), 1, (70000 * MIB,)),
        (None, 0, ()),
    ],
)
def test_a_sample_has_the_memory_of_the_servers_cards(
    tmp_path: Path, named: tuple[str, ...] | None, ranks: int, used: tuple[int, ...]
) -> None:
    server = server_of([instance(tmp_path, "one", named, ranks)])
    assert server.sample(Sample(0.0)).gpu_memory == used


def test_a_card_that_two_replicas_share_is_counted_once(tmp_path: Path) -> None:
    both = [instance(tmp_path, name, ("1",), 1) for name in ("one", "two")]
    assert server_of(both).sample(Sample(0.0)).gpu_memory == (70000 * MIB,)
