"""Other supervisors, measured in the same run as we are: honcho, supervisor and circus.

`make bench` installs them below `.ernie-deploy/` and names their interpreter in
ERNIE_BENCH_PEERS. Without it (no network) the benchmarks say so and measure the rest.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUPERVISORD = """
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
"""
SUPERVISED = """
[program:bench{number}]
command=sleep 100000
"""
CIRCUS = """
[circus]
endpoint = ipc://{folder}/e.sock
pubsub_endpoint = ipc://{folder}/p.sock
statsd = False
"""
CIRCUS_WATCHER = """
[watcher:bench{number}]
cmd = sleep
args = 100000
"""


@dataclass(frozen=True)
class Peer:
    """A supervisor that runs: its process, and the command that asks it how all are."""

    name: str
    pid: int
    status: tuple[str, ...]


def python() -> str | None:
    """The interpreter of the peers' environment, None where they are not installed."""
    named = os.environ.get("ERNIE_BENCH_PEERS")
    return named if named and Path(named).exists() else None


def starts() -> dict[str, tuple[str, ...]]:
    """Each peer's command that only shows its version; empty without the environment."""
    interpreter = python()
    if interpreter is None:
        print("the peers are not installed (`make bench` does it): only ours is measured")
        return {}
    scripts = Path(interpreter).parent
    return {
        "honcho version": (str(scripts / "honcho"), "version"),
        "supervisorctl --help": (str(scripts / "supervisorctl"), "--help"),
        "circusctl --version": (str(scripts / "circusctl"), "--version"),
    }


@contextmanager
def supervisors(folder: Path, programs: int) -> Iterator[list[Peer]]:
    """supervisord and circusd, each with so many sleeping programs, until the block ends."""
    interpreter = python()
    if interpreter is None:
        yield []
        return
    scripts = Path(interpreter).parent
    numbers = range(programs)
    text = SUPERVISORD.format(folder=folder) + "".join(SUPERVISED.format(number=n) for n in numbers)
    (folder / "supervisord.conf").write_text(text)
    text = CIRCUS.format(folder=folder) + "".join(CIRCUS_WATCHER.format(number=n) for n in numbers)
    (folder / "circus.ini").write_text(text)
    endpoint = f"ipc://{folder}/e.sock"
    commands = {
        "supervisord": (
            (str(scripts / "supervisord"), "-c", str(folder / "supervisord.conf")),
            (str(scripts / "supervisorctl"), "-c", str(folder / "supervisord.conf"), "status"),
        ),
        "circusd": (
            (str(scripts / "circusd"), str(folder / "circus.ini")),
            (str(scripts / "circusctl"), "--endpoint", endpoint, "status"),
        ),
    }
    started: list[subprocess.Popen[bytes]] = []
    peers = []
    try:
        for name, (start, status) in commands.items():
            process = subprocess.Popen(
                start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
            )
            started.append(process)
            if _answers(status, programs):
                peers.append(Peer(name, process.pid, status))
            else:
                print(f"{name} did not start its {programs} programs: not measured")
        yield peers
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def _answers(status: tuple[str, ...], programs: int) -> bool:
    """Wait until every program is told as running."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ran = subprocess.run(status, capture_output=True, text=True, check=False)
        running = sum(ran.stdout.count(word) for word in (" RUNNING", ": active"))
        if running >= programs:
            return True
        time.sleep(0.5)
    return False
