"""After each start the prediction is held against the blocks FastDeploy reported."""

from __future__ import annotations

import os
from pathlib import Path

from tests.fastdeploy.conftest import Make
from tests.support import cli
from tests.support.waiting import wait_for

SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) echo "0, GPU-aaaa, NVIDIA A10, 8.6, 23028, 22000, 550.54.15" ;;
  --version) echo "CUDA Version        : 12.4" ;;
esac
"""
"""A machine with one A10; only GPUs are simulated."""


def one_card(folder: Path) -> dict[str, str]:
    """The environment in which nvidia-smi tells of one card."""
    (folder / "nvidia-smi").write_text(SMI)
    (folder / "nvidia-smi").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_next_plan_says_how_far_the_last_one_was_off(fastdeploy: Make, tmp_path: Path) -> None:
    env = one_card(tmp_path)
    server = fastdeploy(env={"TWIN_GPU_BLOCKS": "30000"})
    before = server.run("plan", str(server.profile), "--memory", "--json", env=env)
    assert before.rc == 0, before.output()
    assert before.json["data"]["history"] == []
    predicted = before.json["data"]["prediction"]["blocks"]
    assert predicted == 40000  # a tiny model: FastDeploy's own limit
    up = server.up("--json", env=env)
    assert up.rc == 0, up.output()
    assert up.json["data"]["memory"]["reported"] == 30000
    assert up.json["data"]["memory"]["error"] == round((40000 - 30000) / 30000, 4)
    after = server.run("plan", str(server.profile), "--memory", env=env)
    assert "the last prediction was 40000 blocks" in after.stdout
    assert "reported 30000 (+33.3%; 1 start(s))" in after.stdout
    # By host, model and quantization: another quantization has not been seen yet.
    second = server.run("plan", str(server.profile), "--memory", "--set", "quantization=wint8",
                       "--json", env=env)  # fmt: skip
    assert second.json["data"]["history"] == []


def test_a_start_that_nobody_waited_for_is_learnt_from_later(
    fastdeploy: Make, tmp_path: Path
) -> None:
    """Under systemd the command becomes the keeper, which knows nothing of memory plans."""
    env = one_card(tmp_path)
    server = fastdeploy(env={"TWIN_GPU_BLOCKS": "20000"})
    keeper = cli.spawn("up", str(server.profile), "--foreground", home=server.home, env=env)
    try:
        wait_for(lambda: server.state() == "ready", "the server in the foreground")
        for _ in range(2):  # it is learnt once, however often a plan is asked for
            plan = server.run("plan", str(server.profile), "--memory", "--json", env=env)
            (row,) = plan.json["data"]["history"]
            assert row["reported"] == 20000
    finally:
        server.down()
        keeper.communicate(timeout=600)
