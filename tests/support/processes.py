"""Which processes belong to a test's state directory, and an end for those that leaked."""

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.host import sockets
from launcher.keeper import identity
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Leak:
    """A process that outlived its test."""

    pid: int
    command: str
    reason: str


def of_home(home: Path) -> list[Leak]:
    """Live processes whose environment, command line, folder or open files name `home`.

    A process may rewrite its environment and command line (setproctitle does), so all four;
    children of such processes count too. Zombies do not: they only wait for their parent.
    """
    leaks: dict[int, Leak] = {}
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for pid in _pids():
        stat = _stat(pid)
        if pid == os.getpid() or stat is None or stat[0] == "Z":
            continue
        parents[pid] = stat[1]
        commands[pid] = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        reason = _names(pid, str(home))
        if reason:
            leaks[pid] = Leak(pid, commands[pid], reason)
    grown = True
    while grown:
        grown = False
        for pid, parent in parents.items():
            if parent in leaks and pid not in leaks:
                leaks[pid] = Leak(pid, commands[pid], f"child of {parent}")
                grown = True
    return list(leaks.values())


def with_token(token: str) -> list[int]:
    """Living processes that an instance's engine consists of, by the token in their environment."""
    return [pid for pid in _pids() if identity.environment_token(pid) == token]


def command(pid: int) -> bytes:
    """The command line of a process as the kernel has it, words ended by NUL."""
    return _read(pid, "cmdline")


def alive(pid: int) -> bool:
    """True while a process runs under this number (a zombie has ended)."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def children(pid: int) -> list[int]:
    """All living descendants of `pid`."""
    parents = {p: stat[1] for p in _pids() if (stat := _stat(p)) and stat[0] != "Z"}
    pids: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        below = [p for p, of in parents.items() if of == parent]
        pids += below
        waiting += below
    return pids


def listening_on(number: int) -> list[int]:
    """The processes that listen on a port, as far as they can be seen."""
    pids = _pids()
    holders = [sockets.holder(one.inode, pids) for one in sockets.listeners_on(number)]
    return [pid for pid in holders if pid is not None]


def wait_for_end(pid: int) -> None:
    """Wait until a process that is about to end has ended."""
    wait_for(lambda: not alive(pid), f"the end of process {pid}")


def kill(pids: Iterable[int]) -> None:
    """SIGKILL these processes, by number, and wait until they are gone.

    One that ends meanwhile is not an error: the end of another may be its end.
    """
    pids = list(pids)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_for_end(pid)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and parent."""
    text = _read(pid, "stat").decode(errors="replace")
    if not text:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1])


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _names(pid: int, home: str) -> str | None:
    for file in ("environ", "cmdline"):
        if home.encode() in _read(pid, file):
            return file
    folder = Path(f"/proc/{pid}")
    links = [folder / "cwd"]
    with contextlib.suppress(OSError):
        links += list((folder / "fd").iterdir())
    for link in links:
        with contextlib.suppress(OSError):
            if os.readlink(link).startswith(home):
                return "cwd" if link.name == "cwd" else f"open file {link.name}"
    return None
