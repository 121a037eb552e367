"""The keeper as a process of its own, and what `up` hands over to it."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

from launcher.codec import encode
from launcher.keeper.__main__ import HANDOVER
from launcher.plan.model import LaunchPlan, PortUse
from tests.support import ROOT
from tests.support.ports import free_port


def test_its_exit_code_is_that_of_up_and_its_lock_ends_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    (folder / "logs" / "engine").mkdir(parents=True)
    plan = LaunchPlan(
        "one", "scripted", "1.0", ("/nowhere/engine",), str(tmp_path), str(folder / "logs"),
        str(tmp_path / "temporary"), ports=(PortUse("api", free_port(), "127.0.0.1"),),
    )  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(encode(plan)))
    secrets = os.memfd_create("secrets")
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    handover = {
        "lock": lock, "leases": [], "parent": None, "secrets": secrets, "token": "one:abc",
        "forced": [],
    }  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), HANDOVER: json.dumps(handover)}
    ran = subprocess.run(
        [sys.executable, "-m", "launcher.keeper", str(folder)], env=env, cwd="/",
        capture_output=True, text=True, timeout=600, pass_fds=(secrets, lock),
    )  # fmt: skip
    os.close(secrets)
    os.close(lock)
    assert ran.returncode == 3, ran.stderr
    state = json.loads((folder / "state.json").read_text())
    assert (state["state"], state["exit_code"]) == ("failed", 3)
    assert state["error"]["code"] == "cannot-execute"
    assert "/nowhere/engine" in ran.stderr, "in the foreground it tells the person"
    again = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)
