"""A state directory that became read-only: a real mount, seen by the command alone."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.support import cli
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for

INSIDE = ["unshare", "--mount"]


def read_only(rig: Rig, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command for which the state is mounted read-only; for its keeper it is as before."""
    if os.getuid() != 0 or subprocess.run([*INSIDE, "true"], capture_output=True).returncode != 0:
        pytest.skip("a mount namespace is not to be had here")
    home = shlex.quote(str(rig.home))
    line = f"mount --bind {home} {home} && mount -o remount,bind,ro {home} && "
    command = shlex.join([sys.executable, "-m", "launcher", *arguments])
    return subprocess.run(
        [*INSIDE, "sh", "-c", line + command], text=True, capture_output=True, timeout=600,
        env=cli.environment(rig.home, rig.env),
    )  # fmt: skip


def test_down_asks_the_keeper_by_its_socket(rig: Rig) -> None:
    rig.up()
    engine = rig.engine()
    ran = read_only(rig, "down", "one")
    assert ran.returncode == 0, ran.stderr
    wait_for(lambda: not alive(engine), "the end of the engine")
    assert read_only(rig, "status").returncode == 0
    assert read_only(rig, "down", "one").returncode == 0
    rig.nothing_left()


def test_down_of_a_lost_instance_cleans_and_says_what_it_could_not_write(rig: Rig) -> None:
    rig.up(script={"sigterm": "ignore"})
    engine = rig.engine()
    rig.kill(rig.keeper())
    ran = read_only(rig, "down", "one")
    assert ran.returncode == 3, ran.stderr
    assert "cannot be written down" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not alive(engine)
    rig.down()


@pytest.mark.parametrize("before", ["nothing", "stopped", "lost"])
def test_up_says_so_with_exit_code_3(rig: Rig, before: str) -> None:
    profile = rig.profile()
    if before != "nothing":
        rig.up()
        if before == "stopped":
            rig.down()
        else:
            rig.kill(rig.keeper())
    ran = read_only(rig, "up", profile)
    assert ran.returncode == 3, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Read-only file system" in ran.stderr or "cannot be written" in ran.stderr
    if before == "lost":
        rig.down()
