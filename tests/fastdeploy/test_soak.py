"""Random faults at random moments: no wrong verdict, nothing left, whatever happens when.

`ERNIE_SOAK_CYCLES` (100) and `ERNIE_SOAK_SEED` (drawn, printed) choose the run; the same seed
draws the same scenarios, though the machine's speed decides what they hit.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from launcher.keeper.identity import is_same_process
from tests.fastdeploy.conftest import Make, Server
from tests.support import processes
from tests.support.ports import free_port, is_free
from tests.support.waiting import wait_for
from tests.twin.driver import queue_exists
from tests.twin.faults import FAULTS

UNSAID = re.compile(r"check log/|its logs name no cause|Traceback|defect of the keeper")
"""What no message may be content with."""


@dataclass(frozen=True)
class Expected:
    """What a fault allows: `up`'s exit codes, what its message says where it fails.

    `after`: the states a server that got ready may be in a while later. `arguments`: what may be
    appended to the fault's name, one of them is drawn.
    """

    codes: tuple[int, ...]
    cause: str = ""
    after: tuple[str, ...] = ("ready",)
    arguments: tuple[str, ...] = ("",)
    health: tuple[tuple[str, float], ...] = ()


FINE = Expected((0,))
EXPECTED = {
    "worker-dies-in-init": Expected((4,), "worker ended with exit code 1"),
    "worker-dies-in-load": Expected(
        (4,), "exit code|killed", arguments=("", "@code=9", "@signal=9", "@at=90")
    ),
    "worker-out-of-memory": Expected((4,), "GPU memory"),
    "worker-dies-in-profiling": Expected((4,), "KV cache"),
    "worker-dies-in-warmup": Expected((4,), "CUDA error"),
    "worker-dies-after-ready": Expected(
        (0, 4, 6), "worker", ("died",), ("@after=0", "@after=40", "@signal=9")
    ),
    "worker-hangs-in-load": Expected(
        (5,), "no progress", arguments=("", "@at=40"), health=(("no-progress-timeout", 3),)
    ),
    "worker-spins-in-load": Expected((5,), "not ready after", health=(("startup-timeout", 12),)),
    "worker-ignores-sigterm": FINE,
    "heartbeat-stops": Expected((0, 4, 5), "health|completion", health=(("probe-timeout", 4),)),
    "chat-hangs": Expected((5,), "completion", health=(("probe-timeout", 3),)),
    "weights-cleared": Expected((5,), "304", health=(("startup-timeout", 30),)),
    "launch-fails": Expected((4,), "CUDA_VISIBLE_DEVICES"),
    "port-taken-orphan": FINE,
    "port-taken-abort": FINE,
    "port-taken-hang": FINE,
    "port-taken-while-loading": Expected((4,), "address|taken"),
    "exit-hangs": FINE,
    "stop-hangs": FINE,
    "term-aborts": FINE,
    "int-aborts": FINE,
    "http-term-ends": FINE,
    "few-phases": FINE,
    "stop-slow": FINE,
    "front-dies": Expected(
        (0, 4, 6), "SIGKILL", ("died",), ("@phase=import", "@phase=load", "@phase=serve")
    ),
    "late-start": Expected((0,), arguments=("@phase=import", "@phase=load", "@phase=warmup")),
    "config-differs": Expected((4,), "asked 2048, runs 1024", arguments=("@max_model_len=1024",)),
    "noise": FINE,
    "root-logger-prints": FINE,
    "engine-error": Expected((4,), "500"),
    "say": Expected((4,), ".", arguments=("@id=quantization-invalid", "@id=blocks-below-context")),
    "answer-empty": Expected((0, 4, 5), "completion|empty"),
    **{name: FINE for name in FAULTS if name.startswith("answer-") and name != "answer-empty"},
}


def test_every_fault_of_the_twin_has_its_verdict() -> None:
    assert set(EXPECTED) == set(FAULTS)


@dataclass
class Soak:
    """One run: the server's folder, the dice, and what was found."""

    make: Make
    dice: random.Random
    usual: float = 4.0
    """Seconds that the last good start took: what `moment` is drawn from."""
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    engines: set[int] = field(default_factory=set)
    thief: socket.socket | None = None

    def server(self, fault: str = "", **keys: Any) -> Server:
        release = self.dice.choice(("2.2", "2.3", "2.4", "2.4"))
        health = {"startup-timeout": 120, "no-progress-timeout": 60, "probe-timeout": 20}
        health.update(keys.pop("health", {}))
        health = {key: min(value, health["startup-timeout"]) for key, value in health.items()}
        force = {"architecture"} if release == "2.2" else set()
        if release == "2.2":
            keys["engine_args"] = {"load-choices": "default_v1"}
        server = self.make(
            fault, release=release, name="soak", health=health, stop={"grace": 4}, **keys
        )
        server.__dict__["forced"] = [w for name in sorted(force) for w in ("--force", name)]
        return server

    def start(self, server: Server) -> subprocess.Popen[str]:
        arguments = server.__dict__["forced"]
        from tests.support import cli

        return cli.spawn("up", str(server.profile), "--json", *arguments, home=server.home)

    def moment(self) -> float:
        """Sleep a random part of a start, sometimes until after it; returns the seconds."""
        seconds = self.dice.uniform(0, self.usual * 1.4)
        time.sleep(seconds)
        return seconds

    def ended(self, server: Server, up: subprocess.Popen[str]) -> tuple[int, str]:
        """`up`'s exit code and its error as the operator reads it."""
        stdout, stderr = up.communicate(timeout=600)
        self.remember(server)
        try:
            envelope = json.loads(stdout.strip().splitlines()[-1])
        except (IndexError, json.JSONDecodeError):
            return up.returncode, stderr
        if "schema" not in envelope:  # it was killed: the last line is an event
            return up.returncode, stderr
        texts = [f"{e['code']}: {e['message']} [{e['where']}]" for e in envelope["errors"]]
        if up.returncode == 0:
            self.usual = min(20.0, max(1.0, envelope["data"]["seconds"] or self.usual))
        return up.returncode, "\n".join(texts)

    def remember(self, server: Server) -> None:
        with contextlib.suppress(Exception):
            stored = server.files.state()
            if stored and stored.engine:
                self.engines.add(stored.engine.pid)

    def expect(self, happened: bool, what: str) -> None:
        if not happened:
            self.wrong.append(f"{self.story[-1]}: {what}")

    def judge(self, rc: int, text: str, codes: tuple[int, ...], cause: str) -> None:
        self.expect(rc in codes, f"exit code {rc}, allowed {codes}: {text}")
        if rc not in (0, -9):
            self.expect(bool(re.search(cause, text)), f"{cause!r} not named: {text}")
            own_words = re.sub(r"\[.*\]$", "", text, flags=re.MULTILINE)  # without what is quoted
            self.expect(not UNSAID.search(own_words), f"says nothing: {text}")

    def settles(self, server: Server, *states: str) -> None:
        """The server gets into one of these states and its `status` agrees."""
        try:
            wait_for(lambda: state_of(server) in states, f"one of {states}", interval=0.3)
        except AssertionError:
            self.expect(False, f"state {state_of(server)}, expected {states}")

    def finish(self, server: Server) -> None:
        """Take it down, count what is left of processes, ports, names, queues and folders."""
        self.remember(server)
        if self.thief is not None:
            self.thief.close()
            self.thief = None
        if not server.files.exists:
            return
        down = server.down("--json")
        self.expect(down.rc == 0, f"down: {down.output()}")
        left = server.left()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not processes.of_home(server.home), "the end", deadline=600)
        left += [f"process {leak}" for leak in processes.of_home(server.home)]
        for use in server.files.plan().ports:
            if not is_free(use.number):
                left.append(f"port {use.number}")
            if use.name.startswith("engine-worker-queue") and queue_exists(use.number):
                left.append(f"queue of {use.number}")
            names = os.listdir("/dev/shm")
            left += [n for n in names if re.search(rf"(^|\D){use.number}(\D|$)", n)]
        for pid in self.engines:
            left += glob.glob(f"/tmp/fd_prom_*/*_{pid}.db")
        self.left += [f"{self.story[-1]}: {item}" for item in left]


def state_of(server: Server) -> str:
    """What `status` says of it; absent where no start got as far as a folder."""
    rows = server.run("status", server.name, "--json").json["data"].get("instances")
    return str(rows[0]["state"]) if rows else "absent"


def stored_pid(server: Server, who: str) -> int | None:
    """The recorded pid of `keeper` or `engine`, None before there is one or once it has ended."""
    with contextlib.suppress(Exception):
        stored = server.files.state()
        record = getattr(stored, who)
        if is_same_process(record.pid, record.start):
            return int(record.pid)
    return None


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL, *, group: bool = False) -> bool:
    if pid is None:
        return False
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:
        return False
    return True


def tells_its_settings(server: Server) -> bool:
    """False before 2.3, which has no /config-info."""
    return server.files.plan().readiness.settings_path is not None


def a_fault(soak: Soak) -> Server:
    name = soak.dice.choice(sorted(EXPECTED))
    expected = EXPECTED[name]
    fault = name + soak.dice.choice(expected.arguments)
    server = soak.server(fault, health=dict(expected.health))
    soak.story.append(f"fault {fault}")
    rc, text = soak.ended(server, soak.start(server))
    if name == "config-differs" and not tells_its_settings(server):
        expected = FINE  # it cannot be asked: `up` says that it does not know
        stored = server.files.state()
        settings = stored.evidence.get("settings", {}) if stored else {}
        soak.expect("unknown" in str(settings), f"settings that cannot be known: {settings}")
    soak.judge(rc, text, expected.codes, expected.cause)
    if rc == 0:
        soak.settles(server, *expected.after)
        if name == "exit-hangs" and soak.dice.random() < 0.5:
            os.kill(server.worker, signal.SIGKILL)
            soak.settles(server, "died")
    elif rc in expected.codes:
        soak.settles(server, "failed", "died")
    return server


FATAL = (
    (signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGQUIT, False),
    (signal.SIGKILL, False), (signal.SIGTERM, True), (signal.SIGKILL, True),
)  # fmt: skip


def a_strangers_signal(soak: Soak) -> Server:
    server = soak.server(
        soak.dice.choice(("", "", "int-aborts", "exit-hangs", "noise", "few-phases"))
    )
    number, group = soak.dice.choice(FATAL)
    target = soak.dice.choice(("main", "main", "worker"))
    up = soak.start(server)
    seconds = soak.moment()
    pid = stored_pid(server, "engine")
    if target == "worker":
        group = False
        number = soak.dice.choice((signal.SIGTERM, signal.SIGKILL))
        try:
            pid = server.worker
        except AssertionError:
            pid = None
    soak.story.append(f"{number.name} to {target}{' group' * group} after {seconds:.2f} s")
    sent = kill(pid, number, group=group)
    rc, text = soak.ended(server, up)
    if not sent:
        soak.judge(rc, text, (0,), "")
        soak.settles(server, "ready")
        return server
    soak.judge(rc, text, (0, 4, 6), r"SIG|ended|died|exit code|worker|interrupt")
    soak.settles(server, *(("died",) if rc == 0 else ("failed", "died")))
    return server


def a_killed_keeper(soak: Soak) -> Server:
    server = soak.server()
    up = soak.start(server)
    seconds = soak.moment()
    soak.story.append(f"kill -9 of the keeper after {seconds:.2f} s")
    killed = kill(stored_pid(server, "keeper"))
    rc, text = soak.ended(server, up)
    if killed:
        soak.judge(rc, text, (0, 4), "keeper")
        soak.settles(server, "lost")
        soak.expect(server.run("status", server.name).rc == 1, "status of a lost one is not 1")
    else:
        soak.judge(rc, text, (0,), "")
    if soak.dice.random() < 0.4:  # no `down` between: `up` has to clean
        rc, text = soak.ended(server, soak.start(server))
        soak.judge(rc, text, (0,), "")
        soak.settles(server, "ready")
    return server


def a_killed_up(soak: Soak) -> Server:
    server = soak.server()
    up = soak.start(server)
    seconds = soak.moment()
    soak.story.append(f"kill -9 of `up` after {seconds:.2f} s")
    early = up.poll() is None
    up.kill()
    rc, _ = soak.ended(server, up)
    soak.expect(rc == (-9 if early and rc != 0 else 0), f"exit code {rc}")
    if rc == -9 and server.files.exists:
        soak.settles(server, "stopped", "failed", "absent", "ready")
    return server


def everything_killed(soak: Soak) -> Server:
    server = soak.server()
    up = soak.start(server)
    seconds = soak.moment()
    soak.story.append(f"kill -9 of everything after {seconds:.2f} s")
    processes = server.processes() if server.files.exists else {}
    killed = kill(stored_pid(server, "keeper"))
    for pid in sorted(processes, key=lambda _: soak.dice.random()):
        kill(pid)
    rc, text = soak.ended(server, up)
    soak.judge(rc, text, (0, 4, 6), "keeper|SIGKILL|ended|worker")
    if killed:
        soak.settles(server, "lost")
    return server


def a_stolen_port(soak: Soak) -> Server:
    name = soak.dice.choice(("api", "api", "metrics", "cache-queue", "engine-worker-queue"))
    ending = soak.dice.choice(("", "port-taken-orphan", "port-taken-abort", "port-taken-hang"))
    number = free_port()
    server = soak.server(ending if name == "api" else "", ports={name: number})
    up = soak.start(server)
    seconds = soak.moment()
    soak.story.append(f"port {name} stolen after {seconds:.2f} s, {ending or 'plain'} ending")
    soak.thief = socket.socket()
    try:
        soak.thief.bind(("0.0.0.0", number))
        soak.thief.listen()
        stolen = True
    except OSError:
        soak.thief.close()
        soak.thief = None
        stolen = False
    rc, text = soak.ended(server, up)
    # 2.4's task queue is a unix socket: then the port is not missed.
    spared = name == "engine-worker-queue" and "2.4" in str(server.profile.read_text())
    soak.judge(rc, text, (3, 4) if stolen and not spared else (0, 3, 4), str(number))
    return server


def a_down(soak: Soak) -> Server:
    server = soak.server(soak.dice.choice(("", "stop-hangs", "term-aborts", "stop-slow")))
    up = soak.start(server)
    seconds = soak.moment()
    soak.story.append(f"down after {seconds:.2f} s")
    down = server.down("--json")
    soak.expect(down.rc == 0, f"down: {down.output()}")
    rc, text = soak.ended(server, up)
    soak.judge(rc, text, (0, 4), "down|stopped")
    return server


def an_interrupt(soak: Soak) -> Server:
    server = soak.server()
    number = soak.dice.choice((signal.SIGINT, signal.SIGTERM))
    up = soak.start(server)
    time.sleep(0.3)  # Python's own start: a signal then is not ours to answer
    seconds = soak.moment()
    soak.story.append(f"{number.name} to `up` after {seconds + 0.3:.2f} s")
    kill(up.pid if up.poll() is None else None, number)
    rc, text = soak.ended(server, up)
    code = 128 + number
    soak.judge(rc, text, (0, code, -number), "interrupted|Interrupt|^$")
    return server


SCENARIOS: tuple[Callable[[Soak], Server], ...] = (
    a_fault, a_fault, a_fault, a_fault, a_strangers_signal, a_strangers_signal,
    a_killed_keeper, a_killed_up, everything_killed, a_stolen_port, a_down, an_interrupt,
)  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_random_faults_at_random_moments(
    fastdeploy: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    cycles = int(os.environ.get("ERNIE_SOAK_CYCLES", "100"))
    seed = int(os.environ.get("ERNIE_SOAK_SEED") or random.SystemRandom().randrange(10**6))
    soak = Soak(fastdeploy, random.Random(seed))
    began = time.monotonic()
    for number in range(cycles):
        server = soak.dice.choice(SCENARIOS)(soak)
        soak.finish(server)
        with capsys.disabled():
            if os.environ.get("ERNIE_SOAK_VERBOSE"):
                print(f"{number:3} {time.monotonic() - began:6.0f} s {soak.story[-1]}", flush=True)
    minutes = (time.monotonic() - began) / 60
    with capsys.disabled():
        for problem in (*soak.wrong, *soak.left):
            print(f"\n{problem}")
        print(
            f"\nsoak: FastDeploy, seed {seed}, {cycles} cycles of a random fault in"
            f" {minutes:.1f} min: {len(soak.left)} leftovers, {len(soak.wrong)} wrong verdicts"
        )
    assert not soak.left
    assert not soak.wrong
