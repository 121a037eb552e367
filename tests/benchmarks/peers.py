"""Other supervisors, measured in the same run as we are: honcho, supervisor, circus, a bare loop.

`make bench` installs them below `.ernie-deploy/` and names their interpreter in
ERNIE_BENCH_PEERS. Without it (no network) the benchmarks say so and measure the rest.
"""

import contextlib
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
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
command={command}
redirect_stderr=true
stdout_logfile={folder}/bench{number}.log
stdout_logfile_maxbytes=0
"""
CIRCUS = """
[circus]
endpoint = ipc://{folder}/e.sock
pubsub_endpoint = ipc://{folder}/p.sock
statsd = False
"""
CIRCUS_WATCHER = """
[watcher:bench{number}]
cmd = {command}
copy_env = True
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/bench{number}.log
"""
LOOP = "while :; do {command} >> {folder}/bench{number}.log 2>&1; done"

WITH_STATUS = ("supervisord", "circusd")
"""Those that can be asked how their programs are."""
KINDS = (*WITH_STATUS, "honcho", "bare loop")
SLEEP = ("sleep", "100000")


@dataclass(frozen=True)
class Peer:
    """A supervisor that runs, and the log of its first program.

    `status` is the command that asks it how all are, `stop` the one that stops its first program;
    empty where it has none.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    status: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid


def python() -> str | None:
    """The interpreter of the peers' environment, None where they are not installed."""
    named = os.environ.get("ERNIE_BENCH_PEERS")
    return named if named and Path(named).exists() else None


def kinds() -> tuple[str, ...]:
    """The supervisors that can be started here."""
    if python() is None:
        print("the peers are not installed (`make bench` does it): only a bare loop is measured")
        return ("bare loop",)
    return KINDS


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
def started(
    kind: str, folder: Path, argv: Sequence[str] = SLEEP, programs: int = 1
) -> Iterator[Peer]:
    """One supervisor, one of `KINDS`, which has just been started with so many programs `argv`."""
    folder.mkdir(exist_ok=True)
    command = shlex.join(argv)
    scripts = Path(python() or "/nowhere/python").parent
    fields = [
        {"folder": str(folder), "command": command, "number": str(number)}
        for number in range(programs)
    ]
    start: tuple[str, ...]
    status: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    log = folder / "bench0.log"
    if kind == "supervisord":
        config = folder / "supervisord.conf"
        text = SUPERVISORD.format(folder=folder)
        config.write_text(text + "".join(SUPERVISED.format(**one) for one in fields))
        start = (str(scripts / "supervisord"), "-c", str(config))
        control = (str(scripts / "supervisorctl"), "-c", str(config))
        status, stop = (*control, "status"), (*control, "stop", "bench0")
    elif kind == "circusd":
        config = folder / "circus.ini"
        text = CIRCUS.format(folder=folder)
        config.write_text(text + "".join(CIRCUS_WATCHER.format(**one) for one in fields))
        start = (str(scripts / "circusd"), str(config))
        control = (str(scripts / "circusctl"), "--endpoint", f"ipc://{folder}/e.sock")
        status, stop = (*control, "status"), (*control, "stop", "bench0", "--waiting")
    elif kind == "honcho":
        config = folder / "Procfile"
        config.write_text("".join(f"bench{one['number']}: {command}\n" for one in fields))
        start = (str(scripts / "honcho"), "-f", str(config), "start")
    else:
        start = ("/bin/sh", "-c", " & ".join(LOOP.format(**one) for one in fields))
    with open(folder / f"{kind}.out", "wb") as out:
        process = subprocess.Popen(
            start, stdout=out, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
        )
    if kind == "honcho":
        log = folder / f"{kind}.out"
    try:
        yield Peer(kind, process, log, status, stop)
    finally:
        _end(process, kind)


def _end(process: "subprocess.Popen[bytes]", kind: str) -> None:
    """Stop a supervisor with all its programs; the bare loop has nothing that would do it."""
    if kind == "bare loop":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
    elif process.poll() is None:
        process.terminate()
    process.wait(60)


@contextmanager
def supervisors(folder: Path, programs: int) -> Iterator[list[Peer]]:
    """supervisord and circusd, each with so many sleeping programs, until the block ends."""
    with contextlib.ExitStack() as stack:
        peers = []
        for kind in WITH_STATUS if python() is not None else ():
            peer = stack.enter_context(started(kind, folder / kind, programs=programs))
            if _answers(peer.status, programs):
                peers.append(peer)
            else:
                print(f"{kind} did not start its {programs} programs: not measured")
        yield peers


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
