"""After each start the prediction is held against the blocks FastDeploy reported."""

from __future__ import annotations

import os
from pathlib import Path

from tests.fastdeploy.conftest import Make

SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) echo "0, GPU-aaaa, NVIDIA A10, 8.6, 23028, 22000, 550.54.15" ;;
  --version) echo "CUDA Version        : 12.4" ;;
esac
"""
"""A machine with one A10; only GPUs are simulated."""


def test_the_next_plan_says_how_far_the_last_one_was_off(fastdeploy: Make, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    server = fastdeploy(env={"TWIN_GPU_BLOCKS": "30000"})
    before = server.run("plan", str(server.profile), "--memory", "--json", env=env)
    assert before.rc == 0, before.said()
    assert before.json["data"]["history"] == []
    predicted = before.json["data"]["prediction"]["blocks"]
    assert predicted == 40000  # a tiny model: FastDeploy's own limit
    up = server.up("--json", env=env)
    assert up.rc == 0, up.said()
    assert up.json["data"]["memory"]["reported"] == 30000
    assert up.json["data"]["memory"]["error"] == round((40000 - 30000) / 30000, 4)
    after = server.run("plan", str(server.profile), "--memory", env=env)
    assert "the last prediction was 40000 blocks" in after.stdout
    assert "reported 30000 (+33.3%; 1 start(s))" in after.stdout
