"""A real HAProxy without a keeper, started as one starts it."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from launcher.door.config import DoorSettings, Server, render
from launcher.door.key_maps import write_maps
from launcher.door.master import processes
from launcher.door.runtime import Door
from tests.support.packages import SYSTEM_FOLDERS
from tests.support.ports import free_port
from tests.support.waiting import wait_for


def program() -> str:
    """The path of the HAProxy of this machine."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    path = shutil.which("haproxy", path=folders)
    assert path is not None
    return path


class HAProxy:
    """One process with its configuration; `with` ends it."""

    def __init__(self, settings: DoorSettings, servers: Sequence[Server]) -> None:
        self._connections: list[http.client.HTTPConnection] = []
        self.folder = Path(tempfile.mkdtemp(prefix="edt-", dir="/tmp"))
        self.config = self.folder / "haproxy.cfg"
        self.port, self.stats_port, self.inner_port = free_port(), free_port(), free_port()
        self.settings = settings
        write_maps(settings.keys)
        self.write(render(settings, servers))
        self.master = self.folder / "master.sock"
        self.door = Door(self.folder / "stats.sock", self.master)
        self.log_path = self.folder / "log"
        self.env = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.folder),
            "DOOR_BIND": f"127.0.0.1:{self.port}",
            "DOOR_STATS_BIND": f"127.0.0.1:{self.stats_port}",
            "DOOR_INNER_BIND": f"127.0.0.1:{self.inner_port}",
        }
        argv = [program(), "-W", "-db", "-f", str(self.config), "-S", f"{self.master},mode,600"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(argv, env=self.env, stdout=log, stderr=log)

    def __enter__(self) -> HAProxy:
        wait_for(self._answers, "HAProxy to answer /healthz")
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        pids = self.pids()
        self.process.terminate()
        self.process.wait()
        for pid in pids:
            if self._is_ours(pid):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder)

    def write(self, text: str) -> None:
        """Replace the configuration; nothing is loaded."""
        self.config.write_text(text)

    def log(self) -> str:
        """What it has printed."""
        return self.log_path.read_text(errors="replace")

    def workers(self) -> list[int]:
        """Pids of its workers, old ones too."""
        now = processes(self.master)
        return [*([now.worker] if now and now.worker else []), *(now.old if now else ())]

    def pids(self) -> list[int]:
        """Pids of the master's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in children.read_text().split()] if children.exists() else []

    def connection(self, timeout: float = 60.0) -> http.client.HTTPConnection:
        """A client of the public port; it is closed at the end."""
        self._connections.append(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        )
        return self._connections[-1]

    def connections(self) -> list[http.client.HTTPConnection]:
        """Those that were made."""
        return self._connections

    def resident(self) -> int:
        """Bytes of its workers that are in memory."""
        pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self.workers())
        return sum(int(count) * os.sysconf("SC_PAGE_SIZE") for count in pages)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        connection = http.client.HTTPConnection("127.0.0.1", self.stats_port, timeout=5.0)
        try:
            connection.request("GET", "/healthz")
            # The master listens a moment after its worker.
            return connection.getresponse().status == 200 and processes(self.master) is not None
        except OSError:
            return False
        finally:
            connection.close()

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.config).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
