"""The keeper as a whole, with a run of our own in the place of an engine's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.keeper.test_notify import Supervisor
from tests.support import ROOT
from tests.support.waiting import wait_for

SCRIPT = """
import os, sys
from pathlib import Path
from launcher.errors import ExitCode
from launcher.keeper.keeper import Keeper
from launcher.keeper.run import Run
from launcher.plan.model import LaunchPlan

folder = Path(sys.argv[1])
lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
plan = LaunchPlan(
    instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
    log_folder=str(folder), temporary_folder=str(folder),
)
keeper = Keeper(folder, plan, "one:token", {}, environ=dict(os.environ), lock=lock)


def live(run):
    for state in ("loading", "ready"):
        keeper.state.state = state
        keeper._notifier.send(state)
        fired = []
        keeper.loop.call_later(0.3, lambda: fired.append(1))
        assert keeper.loop.run_until(lambda: bool(fired), 60)
    return ExitCode.DONE


Run.live = live
sys.exit(keeper.run())
"""


SIGNALLED = (
    SCRIPT.partition("def live(run)")[0]
    + """
import signal
keeper._catch_signals()
try:
    while True:
        os.write(keeper.loop.wake_descriptor, b"." * 65536)
except BlockingIOError:
    signal.raise_signal(signal.SIGTERM)
print(keeper._stop.reason)
"""
)


def test_a_signal_that_finds_the_loop_busy_is_kept_and_writes_no_warning(tmp_path: Path) -> None:
    """Thousands of children may end before the loop turns; Python would log each of them."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", SIGNALLED, str(tmp_path)]
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=600)
    assert ran.stdout == "SIGTERM\n"
    assert "signal wakeup fd" not in ran.stderr


WITH_ENDPOINT = """
from launcher.plan.model import PortUse
admin = PortUse("admin", 0, "", socket=str(folder / "admin.sock"))
plan = LaunchPlan(
    instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
    log_folder=str(folder), temporary_folder=str(folder), ports=(admin,),
)
keeper = Keeper(folder, plan, "one:token", {}, environ=dict(os.environ), lock=lock)
def live(run):
    print(*sorted(path.name for path in folder.glob("*.sock")))
    return ExitCode.DONE
Run.live = live
sys.exit(keeper.run())
"""


def test_its_sockets_are_there_while_it_runs_and_gone_afterwards(tmp_path: Path) -> None:
    """A socket that nothing listens on would look like a keeper that hangs."""
    script = SCRIPT.partition("plan = ")[0] + WITH_ENDPOINT
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", script, str(tmp_path)]
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=600)
    assert (ran.returncode, ran.stdout) == (0, "admin.sock control.sock\n"), ran.stderr
    assert list(tmp_path.glob("*.sock")) == []


@pytest.mark.parametrize("lives", [True, False])
def test_a_ready_engine_feeds_the_watchdog_only_while_it_lives(tmp_path: Path, lives: bool) -> None:
    """A load has no engine to ask about yet; a server that is gone must be restarted by systemd."""
    supervisor = Supervisor(str(tmp_path / "notify"))
    folder = tmp_path / "one"
    folder.mkdir()
    env = {
        **os.environ, "NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "20000",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    script = SCRIPT
    if lives:
        script = script.replace("Run.live = live", "Run.live, Run.engine_lives = live, True")
    try:
        with subprocess.Popen([sys.executable, "-c", script, str(folder)], env=env) as process:
            # A datagram socket that is not read holds its sender up after a few messages.
            wait_for(lambda: (supervisor.listen(), process.poll())[1] is not None, "its end")
        assert process.returncode == 0
        heard = [m for m in supervisor.listen() if m in ("WATCHDOG=1", "loading", "ready")]
    finally:
        supervisor.close()
    ready = heard.index("ready")
    assert "WATCHDOG=1" in heard[heard.index("loading") : ready]
    assert ("WATCHDOG=1" in heard[ready:]) == lives
