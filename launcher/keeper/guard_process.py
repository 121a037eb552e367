"""The keeper's side of its guard: started before the engine, ended after it, replaced if it dies.

The guard is a process of the instance: it carries the token, so `down` of a lost instance ends it,
and it is gone before a receipt is written.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import launcher
from launcher.keeper import guard
from launcher.keeper.identity import TOKEN_VARIABLE
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.record import Record
from launcher.keeper.tree import Tree
from launcher.plan.model import LaunchPlan, StopPolicy

PROGRAM = "ERNIE_DEPLOY_GUARD"
"""Variable with the path of the guard's program."""
BOOT = f"""# ernie-deploy guard
import os
with open(os.environ["{PROGRAM}"], encoding="utf-8") as file:
    exec(compile(file.read(), file.name, "exec"))"""
"""Not by its path: `pkill -9 -f launcher.keeper` would find it beside the keeper."""
AGAIN = 1.0
"""Seconds until a guard that died is replaced."""


class Guard:
    """Waits, in a process of its own, for this process's death; see `launcher.keeper.guard`."""

    def __init__(
        self,
        loop: Loop,
        tree: Tree,
        folder: Path,
        token: str,
        policy: StopPolicy,
        log_folder: str,
    ) -> None:
        """Start it; by `policy` a ready engine may take its time to end by itself.

        `log_folder` is where the engine writes its own logs.

        Raises:
            OSError: it cannot be started.
        """
        self._loop = loop
        self._tree = tree
        grace = sum(stage.wait for stage in policy.ready)
        package = Path(launcher.__file__).resolve().parent.parent
        self._argv = [
            sys.executable, "-I", "-S", "-c", BOOT, str(folder), str(package), str(grace),
            log_folder,
        ]  # fmt: skip
        self._env = {TOKEN_VARIABLE: token, PROGRAM: guard.__file__}
        self._again: Timer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._descriptor = -1
        self._start()

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self._process.pid if self._process else None

    def _start(self) -> None:
        me = os.pidfd_open(os.getpid())
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=me,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=self._env,
                start_new_session=True,
            )
        finally:
            os.close(me)
        self._tree.helpers.add(self._process.pid)
        try:
            self._descriptor = os.pidfd_open(self._process.pid)
        except OSError:  # no descriptor is left; it must not outlive us unwatched
            self._process.kill()
            self._process.wait()
            self._tree.helpers.discard(self._process.pid)
            self._process = None
            raise
        self._loop.add_reader(self._descriptor, self._died)

    def _died(self) -> None:
        self._forget()
        self._again = self._loop.call_later(AGAIN, self._start_again)

    def _start_again(self) -> None:
        try:
            self._start()
        except OSError:  # no process or descriptor to be had just now
            self._again = self._loop.call_later(AGAIN, self._start_again)

    def _forget(self) -> None:
        if self._process is None:
            return
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        with contextlib.suppress(ChildProcessError):  # the tree collects every child of ours
            os.waitpid(self._process.pid, 0)
        self._process.returncode = 0
        self._tree.helpers.discard(self._process.pid)
        self._process = None

    def close(self) -> None:
        """End it, and return when it is gone."""
        if self._again is not None:
            self._again.cancel()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            self._forget()


def start_guard(
    loop: Loop, tree: Tree, folder: Path, plan: LaunchPlan, record: Record
) -> Guard | None:
    """The guard of an instance; None where it cannot be started, which is told."""
    try:
        return Guard(loop, tree, folder, record.state.token, plan.stop, plan.log_folder)
    except OSError as error:
        message = f"the engine has no guard, should the keeper be killed: {error}"
        record.event("warning", message=message)
        return None
