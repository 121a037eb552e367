"""Starts the twin as a launcher would, looks at it from outside, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.decoded import JsonDict
from tests.support.ports import free_port, give_back

ROOT = Path(__file__).resolve().parents[2]
#: Part of the real server's time in which the tests run.
SCALE = 0.02


@dataclass(frozen=True)
class Ports:
    """Ports of one server; no other process on this host holds them or the low byte of Q."""

    port: int
    metrics: int
    queue: int
    cache: int


def _lease(name: str) -> socket.socket | None:
    """Hold a name on this host as long as the socket is open; None if another process does."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0ernie-twin-{name}")
    except OSError:
        lock.close()
        return None
    return lock


@contextlib.contextmanager
def lease_ports() -> Iterator[Ports]:
    """Four ports that no instance draws by itself; the low byte of Q is leased as well."""
    with contextlib.ExitStack() as stack:

        def draw() -> int:
            port = free_port()
            stack.callback(give_back, port)
            return port

        queue = draw()
        while not _has_a_low_byte_of_its_own(queue, stack):
            queue = draw()
        yield Ports(draw(), draw(), queue, draw())


def _has_a_low_byte_of_its_own(port: int, stack: contextlib.ExitStack) -> bool:
    lease = _lease(f"low-{port & 0xFF}")
    if lease is None:
        return False
    stack.callback(lease.close)
    return not queue_exists(port)


_LIBC = ctypes.CDLL(None, use_errno=True)


def queue_key(queue_port: int) -> int:
    return int(_LIBC.ftok(b"/dev/shm", queue_port)) & 0xFFFFFFFF


def wide_queue_key(queue_port: int) -> int:
    """Of 2.5 and later: 4 bits of the device, 8 of the inode, 20 of Q."""
    status = os.stat("/dev/shm")
    key = (status.st_dev & 0xF) << 28 | (status.st_ino & 0xFF) << 20 | queue_port & 0xFFFFF
    return key & 0xFFFFFFFF


def queue_exists(queue_port: int, key: int | None = None) -> bool:
    expected = queue_key(queue_port) if key is None else key
    return int(_LIBC.msgget(ctypes.c_int(expected), 0)) >= 0


def remove_queue(queue_port: int) -> None:
    for key in (queue_key(queue_port), wide_queue_key(queue_port)):
        number = int(_LIBC.msgget(ctypes.c_int(key), 0))
        if number >= 0:
            _LIBC.msgctl(number, 0, None)


def wait_for(what: str, happened: Callable[[], object], limit_s: float = 600.0) -> Any:
    """The first true answer; AssertionError names what did not happen."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = happened()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


class Twin:
    """One running stand-in server."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        ports: Ports,
        *flags: str,
        fault: str = "",
        environment: dict[str, str] | None = None,
        model: str | None = None,
        ignore_sigint: bool = False,
        scale: float = SCALE,
        bare: bool = False,
        stderr: int | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.ports, self.folder = _asked_ports(ports, flags), folder
        folder.mkdir(parents=True, exist_ok=True)
        self.logs = folder / "log"
        size = "--tensor-parallel-size"
        self.ranks = int(flags[flags.index(size) + 1]) if size in flags else 1
        prometheus = folder / "prometheus"
        prometheus.mkdir(exist_ok=True)
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TWIN_", "FD_", "PROMETHEUS", "CUDA_"))
        }
        env |= {
            "PROMETHEUS_MULTIPROC_DIR": str(prometheus),
            "TWIN_TIME_SCALE": str(scale),
            "TWIN_FAULT": fault,
            "TWIN_MAX_LIFETIME": "90",
            "TWIN_TOKENS_PER_S": "1000",
            **(environment or {}),
        }
        command = [str(python), "-m", "fastdeploy.entrypoints.openai.api_server"]
        if not bare:
            command += ["--model", model or str(tiny_ernie()), *self.port_flags()]
        if ignore_sigint:
            command = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
        self.console = folder / "console.txt"
        with self.console.open("wb") as stream:
            self.process = subprocess.Popen(
                [*prefix, *command, *flags],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream if stderr is None else stderr,
                start_new_session=True,
            )

    def port_flags(self) -> list[str]:
        pairs = (
            ("port", self.ports.port),
            ("metrics-port", self.ports.metrics),
            ("engine-worker-queue-port", self.ports.queue),
            ("cache-queue-port", self.ports.cache),
        )
        return [word for name, port in pairs for word in (f"--{name}", str(port))]

    # What it says ----------------------------------------------------------------------------

    @property
    def output(self) -> str:
        return self.console.read_bytes().decode("utf-8", "replace")  # keeps carriage returns

    def log(self, name: str) -> str:
        path = self.logs / name
        return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""

    def wait_said(self, text: str, where: str | None = None, limit_s: float = 600.0) -> None:
        def is_written() -> bool:
            return text in (self.log(where) if where else self.output)

        try:
            wait_for(f"{text!r} in {where or 'the console'}", is_written, limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    # HTTP ------------------------------------------------------------------------------------

    def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        port: int | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", port or self.ports.port, timeout=timeout_s)
        with contextlib.closing(client):
            raw = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            kind = {"Content-Type": "application/json"} if raw is not None else {}
            client.request(method, path, raw, {**kind, **(headers or {})})
            response = client.getresponse()
            return response.status, response.read()

    def chat(self, *messages: str | dict[str, object], **more: object) -> JsonDict:
        """A completion that must succeed; strings are user messages."""
        listed = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        status, body = self.http("POST", "/v1/chat/completions", {"messages": listed, **more})
        assert status == 200, body
        answer: JsonDict = json.loads(body)
        return answer

    def says(self, *messages: str | JsonDict, **more: Any) -> str:
        text: str = self.chat(*messages, **more)["choices"][0]["message"]["content"]
        return text.strip()

    def stream(self, text: str, **more: object) -> list[Any]:
        """Events of a stream; the last is the string ``[DONE]`` if it came."""
        body = {"messages": [{"role": "user", "content": text}], "stream": True, **more}
        status, raw = self.http("POST", "/v1/chat/completions", body)
        assert status == 200, raw
        pieces = [line[6:] for line in raw.decode().split("\n\n") if line.startswith("data: ")]
        return [piece if piece == "[DONE]" else json.loads(piece) for piece in pieces]

    def health(self) -> int | None:
        try:
            return self.http("GET", "/health", timeout_s=2)[0]
        except OSError:
            return None

    def wait_ready(self) -> Twin:
        def ready() -> bool:
            assert self.process.poll() is None, f"rc {self.process.returncode}\n{self.output}"
            return self.health() == 200

        wait_for("ready", ready)
        return self

    # Processes -------------------------------------------------------------------------------

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self, limit_s: float = 600.0) -> int:
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running\n{self.output}") from None

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()

    def processes(self) -> dict[int, str]:
        """Everything alive whose working folder is ours, with its command line."""
        lines: dict[int, str] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{entry}/cwd") == str(self.folder):
                        raw = Path(f"/proc/{entry}/cmdline").read_bytes()
                        if raw:
                            lines[int(entry)] = raw.replace(b"\0", b" ").decode().strip()
        return lines

    def wait_gone(self, limit_s: float = 10.0) -> None:
        """The resource tracker ends a moment after the process it serves."""
        wait_for("no process is left", lambda: not self.processes(), limit_s)

    def find(self, text: str) -> list[int]:
        return sorted(pid for pid, line in self.processes().items() if text in line)

    @property
    def worker(self) -> int:
        """The process that would hold the GPU."""
        pids = [
            pid
            for pid, line in self.processes().items()
            if "worker_process.py" in line and "launch" not in line and "/bin/sh" not in line
        ]
        assert len(pids) == 1, self.processes()
        return pids[0]

    def shm(self) -> set[str]:
        """Our names in /dev/shm, without the port."""
        ports, names = self.ports, set()
        for name in os.listdir("/dev/shm"):
            stem, _, suffix = name.rpartition(".")
            if suffix == str(ports.queue):
                names.add(stem)
            elif str(ports.port) in name or any(
                f"_{number}." in name for number in (ports.queue, ports.cache)
            ):
                names.add(name)
        return names

    def prometheus_folders(self) -> list[Path]:
        """Folders in /tmp that this api_server made: its pid is in the names of their files."""
        folders = Path("/tmp").glob(f"*prom_*/counter_{self.process.pid}.db")
        return [path.parent for path in folders]

    def listening(self) -> set[str]:
        """Which of P, M, Q, C accept connections."""
        ports = self.ports
        table = {"P": ports.port, "M": ports.metrics, "Q": ports.queue, "C": ports.cache}
        return {name for name, port in table.items() if accepts(port)}

    def close(self) -> None:
        """End and remove everything, whatever the test left."""
        deadline = time.monotonic() + 10
        while (alive := self.processes()) and time.monotonic() < deadline:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.01)
        self.process.wait(600)
        chosen = re.findall(r"`engine_worker_queue_port`.*\[(\d+)\]", self.output)
        numbers = {self.ports.queue, *map(int, chosen)}
        for queue in {number + rank for number in numbers for rank in range(self.ranks)}:
            remove_queue(queue)
            for name in (f"*.{queue}", f"*_{queue}.ipc"):
                for path in Path("/dev/shm").glob(name):
                    path.unlink(missing_ok=True)
        for name in self.shm():
            Path("/dev/shm", name).unlink(missing_ok=True)
        for folder in self.prometheus_folders():
            if folder.name != "prom_main":
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for path in folder.glob(f"*_{self.process.pid}.db"):  # 2.2's folder is shared
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # files of others are in it
                folder.rmdir()
        for path in Path("/dev/shm").glob(f"*{self.process.pid}*"):
            if re.search(rf"(^|\D){self.process.pid}(\D|$)", path.name):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _asked_ports(ports: Ports, flags: tuple[str, ...]) -> Ports:
    """The ports with those that a test's own flags put in their place."""
    names = {
        "--port": "port",
        "--metrics-port": "metrics",
        "--engine-worker-queue-port": "queue",
        "--cache-queue-port": "cache",
    }
    pairs = itertools.pairwise(flags)
    own = {names[flag]: int(value) for flag, value in pairs if flag in names and value.isdigit()}
    return replace(ports, **own)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(600)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tiny_ernie() -> Path:
    """A model folder with the tiny ERNIE's tokenizer."""
    folder = os.environ.get("TWIN_TOKENIZER")
    return Path(folder) if folder else ROOT / "profiles" / "tiny-ernie"
