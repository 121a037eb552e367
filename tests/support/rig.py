"""A bench for whole instances: profiles of the scripted engine, the command line, and a look around
afterwards for what was left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.keeper import identity
from launcher.keeper.events import read_events
from tests.support import cli, processes, scripted_engine
from tests.support.decoded import JsonDict
from tests.support.waiting import wait_for

NEVER: JsonDict = {"policy": "never"}
"""For tests in which an engine dies for good: by default it is started again."""


class Rig:
    """Everything a test of `up`, `down` and `status` needs; state lies in `home`."""

    def __init__(self, home: Path, folder: Path, pythonpath: str) -> None:
        self.home = home
        self.folder = folder
        self._spawned: list[subprocess.Popen[str]] = []
        self.env: dict[str, str | None] = {"PYTHONPATH": pythonpath, "NOTIFY_SOCKET": None}

    def profile(self, name: str = "one", script: JsonDict | None = None, **keys: Any) -> str:
        """A profile's path. `args` are further `engine-args`; keys are spelled with underscores."""
        settings = {key.replace("_", "-"): value for key, value in keys.items()}
        arguments = {"script": script or {}, **settings.pop("args", {})}
        text = {
            "name": name,
            "engine": "scripted",
            "model": "tiny",
            "python": sys.executable,
            "engine-args": arguments,
            **settings,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(text))
        return str(path)

    def path(self, name: str) -> str:
        """A path at which a test and its engine meet."""
        return str(self.folder / name)

    def run(self, *arguments: str, **options: Any) -> cli.Ran:
        """A command to its end."""
        return cli.run(*arguments, home=self.home, env=self.env, **options)

    def spawn(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """A command that goes on; it is ended with the test at the latest."""
        process = cli.spawn(*arguments, home=self.home, env=self.env, **options)
        self._spawned.append(process)
        return process

    def close(self) -> None:
        """End what a failed test left, so that its failure stays the only one."""
        for process in self._spawned:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def up(self, name: str = "one", script: JsonDict | None = None, **keys: Any) -> cli.Ran:
        """`up` of a scripted profile, which has to succeed."""
        ran = self.run("up", self.profile(name, script, **keys), "--json")
        assert ran.rc == 0, ran.output()
        return ran

    def down(self, name: str = "one") -> cli.Ran:
        """`down`, which has to succeed and leave nothing."""
        ran = self.run("down", name, "--json")
        assert ran.rc == 0, ran.output()
        # At once: a receipt of zero that becomes true a little later was not true.
        token = (self.instance(name) / "token").read_text()
        assert not processes.with_token(token), "of the engine, after a receipt of zero"
        self.nothing_left(name)
        return ran

    def instance(self, name: str = "one") -> Path:
        """The instance's folder."""
        return self.home / "instances" / name

    def stored(self, name: str = "one", file: str = "state.json") -> JsonDict:
        """One of the instance's JSON files, empty where it is not there yet."""
        try:
            document: dict[str, object] = json.loads((self.instance(name) / file).read_text())
        except FileNotFoundError:
            return {}
        return document

    def wait_for_state(self, state: str, name: str = "one") -> JsonDict:
        """The stored state once it is `state`."""
        wait_for(lambda: self.stored(name).get("state") == state, f"state {state} of {name}")
        return self.stored(name)

    def wait_for_passed(self, state: str, name: str = "one") -> None:
        """Wait until the instance has been in `state`, however short its stay was."""
        folder = self.instance(name)

        def been_there() -> bool:
            return any(event.get("state") == state for event in read_events(folder))

        wait_for(been_there, f"{name} having been {state}")

    def engine(self, name: str = "one") -> int:
        """The pid of the engine's first process."""
        pid: int = self.stored(name)["engine"]["pid"]
        return pid

    def keeper(self, name: str = "one") -> int:
        """The keeper's pid."""
        pid: int = self.stored(name)["keeper"]["pid"]
        return pid

    def guard(self, name: str = "one") -> int | None:
        """The pid of the keeper's guard, None where it has none (any more)."""
        pids = processes.with_token((self.instance(name) / "token").read_text())
        return next((p for p in pids if b"ernie-deploy guard" in processes.command(p)), None)

    def lose(self, name: str = "one") -> None:
        """`kill -9` of the keeper and of its guard: nothing is left that would end the engine."""
        keeper = self.keeper(name)
        os.kill(keeper, signal.SIGSTOP)  # it would replace its guard
        guard = wait_for(lambda: self.guard(name), "the guard")
        assert guard is not None
        self.kill(guard)
        self.kill(keeper)

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """A signal, and for SIGKILL the end it brings."""
        os.kill(pid, number)
        if number == signal.SIGKILL:
            wait_for(lambda: not processes.alive(pid), f"the end of {pid}")

    @contextlib.contextmanager
    def paused_keeper(self, name: str = "one") -> Iterator[None]:
        """While a test writes into the instance's files: its keeper would write them anew."""
        keeper = self.keeper(name)
        os.kill(keeper, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(keeper, signal.SIGCONT)

    def nothing_left(self, name: str = "one") -> None:
        """No process, port or temporary folder of the instance is left."""
        wait_for(lambda: not processes.of_home(self.home), "the end of all processes", deadline=600)
        plan = self.stored(name, "plan.json")
        if plan:
            assert not Path(plan["temporary_folder"]).exists()
            token = (self.instance(name) / "token").read_text()
            for use in plan["ports"]:
                # An `auto` port may be another process's by now: another test runs beside this one.
                assert token not in tokens_on_port(use["number"]), use

    def errors(self, ran: cli.Ran) -> list[str]:
        """The codes of a command's errors."""
        return [error["code"] for error in ran.json["errors"]]


def tokens_on_port(number: int) -> list[str]:
    """The instance tokens of the processes that listen on this port."""
    return [identity.environment_token(pid) or "" for pid in processes.listening_on(number)]


@pytest.fixture
def rig(home: Path, tmp_path: Path) -> Iterator[Rig]:
    """A bench with an empty state directory; at its end no instance may run."""
    with scripted_engine.registered(tmp_path) as pythonpath:
        new_rig = Rig(home, tmp_path, pythonpath)
        try:
            yield new_rig
        finally:
            new_rig.close()


__all__ = ["NEVER", "Rig", "rig"]
