"""FastDeploy through the command line: profiles for the twin, and proof that nothing is left."""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from launcher.engines.fastdeploy.leftovers import TEMPORARY
from launcher.host.kernel import queue_keys
from launcher.instance.store import InstanceDir
from launcher.keeper import identity
from launcher.keeper.leftovers import queues_by_key, still_there
from tests.support import ROOT, cli, processes
from tests.support.decoded import JsonDict
from tests.support.waiting import wait_for
from tests.twin.interpreter import make_interpreter

METRICS_FOLDERS = ("/tmp/fd_prom_*", "/tmp/prom_main*", "/tmp/prom_worker*")
"""Where prometheus_client keeps its files, each named after the process that writes it."""
SOON = 10.0
"""Seconds within which a fault must have its verdict on a machine that is busy with other tests.

What was measured is in README.md; FastDeploy needs up to 16 s, the whole load, or never ends.
"""
SCALE = "0.05"
"""The twin's seconds per measured second: 22 s of start-up become about one."""
MODEL = ROOT / "profiles" / "tiny-ernie"


@pytest.fixture(scope="session")
def twin_python(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The interpreter of a release, made once a session."""
    pythons: dict[str, Path] = {}

    def of(release: str) -> Path:
        if release not in pythons:
            pythons[release] = make_interpreter(tmp_path_factory.mktemp("twin") / release, release)
        return pythons[release]

    return of


@dataclass
class Server:
    """One FastDeploy of a test, driven by the command line only."""

    home: Path
    profile: Path
    name: str

    def run(self, *arguments: str, **options: Any) -> cli.Ran:
        """An `ernie-deploy` command in this test's home."""
        return cli.run(*arguments, home=self.home, **options)

    def up(self, *arguments: str, **options: Any) -> cli.Ran:
        """`ernie-deploy up`."""
        return self.run("up", str(self.profile), *arguments, **options)

    def down(self, *arguments: str, **options: object) -> cli.Ran:
        """`ernie-deploy down`."""
        return self.run("down", self.name, *arguments, **options)

    def spawn_up(self, **options: Any) -> subprocess.Popen[str]:
        """`ernie-deploy up` in the background."""
        return cli.spawn("up", str(self.profile), home=self.home, **options)

    def status(self) -> JsonDict:
        """What `status --json` says of it."""
        row: JsonDict = self.run("status", self.name, "--json").json["data"]["instances"][0]
        return row

    @property
    def files(self) -> InstanceDir:
        """Its directory."""
        return InstanceDir(self.home / "instances" / self.name)

    def state(self) -> str | None:
        """The stored state, None before there is one."""
        stored = self.files.state()
        return stored.state if stored else None

    def wait_state(self, *states: str) -> str:
        """Wait until it is in one of these states."""
        wait_for(lambda: self.state() in states, f"state {' or '.join(states)}")
        return str(self.state())

    def wait_phase(self, phase: str) -> None:
        """Wait until the load is in this phase."""

        def there() -> bool:
            stored = self.files.state()
            return stored is not None and stored.phase == phase

        wait_for(there, f"phase {phase}")

    def pid(self, pattern: str) -> int:
        """The one process of the instance whose command line holds `pattern`."""
        pids = [pid for pid, line in self.processes().items() if pattern in line]
        assert pids, f"no process with {pattern!r} in {self.processes()}"
        return pids[0]

    @property
    def worker(self) -> int:
        """The worker that holds the GPU (C); its launcher and shell name the same script."""
        for pid, line in self.processes().items():
            fields = line.split()
            if any(w.endswith("/worker_process.py") for w in fields[:3]):
                return pid
        raise AssertionError(f"no worker in {self.processes()}")

    @property
    def main(self) -> int:
        """The api_server's own process (A)."""
        stored = self.files.state()
        assert stored is not None
        assert stored.engine is not None
        return stored.engine.pid

    def processes(self) -> dict[int, str]:
        """Every process that carries the instance's token or was recorded, with its command."""
        stored = self.files.state()
        recorded = {p.pid for p in stored.processes} if stored else set()
        lines = {}
        for process in identity.every_process():
            token = identity.environment_token(process.pid) or ""
            if process.state != "Z" and (process.pid in recorded or _of(token, self)):
                with contextlib.suppress(OSError):  # it ends at this moment
                    raw = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                    lines[process.pid] = raw.replace(b"\0", b" ").decode(errors="replace")
        return lines

    def port(self, name: str) -> int:
        """A port of the plan."""
        return self.files.plan().port(name).number

    def chat(self, text: str, **more: object) -> requests.Response:
        """One chat completion."""
        body = {"messages": [{"role": "user", "content": text}], **more}
        url = f"http://127.0.0.1:{self.port('api')}/v1/chat/completions"
        return requests.post(url, json=body, timeout=600, stream=bool(more.get("stream")))

    def left(self) -> list[str]:
        """Whatever of this instance is still on the machine."""
        plan = self.files.plan()
        left = [f"process {pid}: {line}" for pid, line in self.processes().items()]
        left += [path for n in plan.leftovers.shm for path in glob.glob(f"/dev/shm/{n}")]
        keys = queue_keys(plan.leftovers.queues, plan.cwd)
        left += [f"queue {key:#x}" for key in keys if key in queues_by_key()]
        if os.path.exists(plan.temporary_folder):
            left.append(plan.temporary_folder)
        stored = self.files.state()
        ours = {stored.engine.pid} if stored and stored.engine else set()
        ours |= {p.pid for p in stored.processes} if stored else set()
        begun = self.profile.stat().st_mtime  # older files name a number that was used again
        for folder in itertools.chain.from_iterable(map(glob.glob, METRICS_FOLDERS)):
            files = [
                file
                for file in glob.glob(f"{folder}/*.db")
                if _pid_of(file) in ours and _changed_at(file) >= begun
            ]
            # What another server uses as well (2.2's one folder) stays until that one ends. Asked
            # last: it looks at every process, and tests of the twin leave folders by hundreds.
            if files and not _in_use(folder):
                left += files
        claims = (*stored.shm, *stored.temporary) if stored else ()
        left += [c.path for c in claims if still_there(c) and not _in_use(c.path)]
        return sorted({*left, *self.held_ports()})

    def held_ports(self) -> list[str]:
        """The ports of the plan on which a process listens that may be the instance's.

        A port that a test took away from the server is the test's own. One of `auto` that the
        server has given back may be another instance's by now: many tests run at once.
        """
        ports_held = []
        for use in self.files.plan().ports:
            for pid in processes.listening_on(use.number):
                if pid != os.getpid() and not _of_another(pid, self):
                    ports_held.append(f"port {use.number} ({use.name}): {processes.command(pid)!r}")
        return ports_held

    def noticed(self, since: float | None = None) -> float:
        """Seconds from the moment a fault struck (`since`, else the twin's note) to its verdict."""
        if since is None:
            since = float(self.strikes.read_text().split()[0])
        events = (self.files.folder / "events.jsonl").read_text().splitlines()
        failures = [e for e in map(json.loads, events) if e["event"] == "failure"]
        assert failures, "no failure was recorded"
        return float(failures[0]["time"]) - since

    @property
    def strikes(self) -> Path:
        """Where the twin notes the moments at which its faults strike."""
        return self.profile.with_suffix(".strikes")


def _changed_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:  # another server ends at this moment
        return 0.0


def _pid_of(path: str) -> int:
    digits = Path(path).stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


SAYS_NOTHING = re.compile(r"check log/|its logs name no cause|Traceback|\\{\\w+\\}|code=0")
"""What no message may be content with: a hint at a log, a hole that was not filled in, a lie."""


def judge(server: Server, error: JsonDict, cause: str, since: float | None = None) -> None:
    """One verdict that names its cause, is noticed soon (how soon is printed) and leaves nothing.

    `since` is when the fault struck, where the twin does not note it itself.
    """
    assert cause in error["message"], error
    assert not SAYS_NOTHING.search(error["message"]), error
    assert error["remedy"], error
    assert server.left() == []
    if since is None and not server.strikes.exists():
        return  # not a moment but a state: it is noticed when it is asked for
    seconds = server.noticed(since)
    assert -0.1 < seconds < SOON, f"noticed after {seconds:.2f} s"
    print(f"noticed after {seconds:.3f} s: {error['message']}")


def judge_start(
    server: Server, up: cli.Ran, code: int, cause: str, since: float | None = None
) -> None:
    """The same of an `up --json` that failed with exit code `code`."""
    assert up.rc == code, up.output()
    assert len(up.json["errors"]) == 1, up.output()
    receipt = up.json["data"]["receipt"]
    assert not receipt["left"], receipt
    assert server.status()["state"] == "failed"
    judge(server, up.json["errors"][0], cause, since)


def judge_death(server: Server, cause: str, since: float | None = None) -> None:
    """The same of a server that was ready and has died: exit code 6, and `status` says 1."""
    server.wait_state("died")
    status = server.run("status", server.name, "--json")
    row = status.json["data"]["instances"][0]
    assert (status.rc, row["state"], row["exit_code"]) == (1, "died", 6), status.output()
    receipt = row["receipt"]
    assert not receipt["left"], receipt
    judge(server, row["error"], cause, since)


def _of_another(pid: int, server: Server) -> bool:
    """True for what another instance proves to be its own: its token, or its keeper's argv.

    A keeper has no token in its environment, and listens as well (the metrics).
    """
    token = identity.environment_token(pid)
    if token is not None:
        return not _of(token, server)
    arguments = processes.command(pid).split(b"\0")
    return b"launcher.keeper" in arguments and os.fsencode(server.files.folder) not in arguments


def _of(token: str, server: Server) -> bool:
    if not token.startswith(f"{server.name}:"):
        return False
    try:
        return (server.files.folder / "token").read_text() == token
    except OSError:
        return False


Make = Callable[..., Server]


@pytest.fixture
def fastdeploy(home: Path, tmp_path: Path, twin_python: Callable[[str], Path]) -> Iterator[Make]:
    """`fastdeploy(fault=..., release=..., **profile keys)` writes a profile and returns a `Server`.

    At the end every server is taken down, and nothing of it may be left.
    """
    servers: list[Server] = []

    def make(
        fault: str = "",
        release: str = "2.4",
        name: str | None = None,
        env: dict[str, str] | None = None,
        **keys: Any,
    ) -> Server:
        name = name or f"fd{len(servers)}-{os.getpid()}"
        profile: JsonDict = {
            "name": name,
            "engine": "fastdeploy",
            "python": str(twin_python(release)),
            "model": str(MODEL),
            "max-model-len": 2048,
            "max-num-seqs": 4,
            "env": {
                "TWIN_TIME_SCALE": SCALE,
                "TWIN_MAX_LIFETIME": "300",
                "TWIN_STRIKES": str(tmp_path / f"{name}.strikes"),
                **(env or {}),
            },
            "health": {"startup-timeout": 90, "no-progress-timeout": 60, "probe-timeout": 20},
            "stop": {"grace": 15},
            "restart": {"policy": "never"},  # what is judged is a death
        }
        if fault:
            profile["env"]["TWIN_FAULT"] = fault
        profile.update({key.replace("_", "-"): value for key, value in keys.items()})
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(profile))
        server = Server(home, path, name)
        servers.append(server)
        return server

    yield make
    problems = []
    for server in servers:
        if not server.files.exists:
            continue
        server.down()
        problems += [f"{server.name}: {item}" for item in server.left()]
        processes.kill(server.processes())
    assert not problems, f"left behind: {problems}"


@pytest.fixture
def no_new_prometheus_folder(release: str) -> Iterator[None]:
    """No folder at the places that this release writes to is left by its server.

    Other tests run beside this one: what they use, or are about to remove, does not count.
    """

    def folders() -> set[str]:
        return set(itertools.chain.from_iterable(map(glob.glob, TEMPORARY[release])))

    before = folders()
    yield
    new = folders() - before
    wait_for(
        lambda: all(_in_use(path) or not os.path.exists(path) for path in new),
        lambda: f"the end of {[path for path in new if not _in_use(path)]}", deadline=60,
    )  # fmt: skip


def _in_use(path: str) -> bool:
    for process in identity.every_process():
        try:
            if path.encode() in Path(f"/proc/{process.pid}/environ").read_bytes():
                return True
            if path in Path(f"/proc/{process.pid}/maps").read_text():
                return True
        except OSError:
            continue
    return False
