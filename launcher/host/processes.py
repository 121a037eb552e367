"""The processes of this machine, as the kernel shows them: the one reader of /proc/PID.

A process may end, become another program or be another user's between any two reads. So every
reader has an answer for that (None or nothing), every read has a limit, and what identifies a
process is more than its number. That we have no descriptor left tells nothing of a process: it is
raised (OSError), never answered with "gone". Imported by the keeper, which lives for months:
nothing heavy here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

PROC = "/proc"
LONGEST_STAT = 8 * 1024
"""Bytes; a name has at most 64, some fifty numbers follow."""
LONGEST_COMMAND = 64 * 1024
"""Bytes of a command line: a program's own arguments stand in front of a long list of files."""
LONGEST_ENVIRONMENT = 8 * 1024 * 1024
"""Bytes; exec takes 6 MiB of arguments and variables together."""
LONGEST_MOUNTS = 4 * 1024 * 1024
"""Bytes; a machine with many containers has thousands of mounts."""
LONGEST_MAPS = 64 * 1024 * 1024
"""Bytes; a process has 65,530 mappings unless the administrator allows more."""
SUMMARY = 120
"""Characters of a command line in a message."""

STATE, PARENT, SESSION, FLAGS = 3, 4, 6, 9
CHILDREN_FAULTS, FAULTS = 13, 12
USER_TIME, SYSTEM_TIME, CHILDREN_USER_TIME, CHILDREN_SYSTEM_TIME = 14, 15, 16, 17
START, WAIT_STATUS = 22, 52
"""Numbers of fields in proc_pid_stat(5)."""
TICKS = os.sysconf("SC_CLK_TCK")
"""Units of its times in a second."""


@dataclass(frozen=True)
class Host:
    """Where pids mean something: this machine, this boot, this pid namespace."""

    machine: str
    boot: str
    pid_namespace: str


@dataclass(frozen=True)
class Stat:
    """What the kernel counts of a process; the fields behind its name, in the kernel's order."""

    name: str
    fields: tuple[str, ...]

    @property
    def state(self) -> str:
        """One letter: `R`, `S`, `Z` and so on."""
        return self.fields[0]

    @property
    def has_ended(self) -> bool:
        """True for a process that only waits for its parent (a zombie)."""
        return self.state in "ZX"

    def has(self, field: int) -> bool:
        """True where this kernel tells the field with that number in proc_pid_stat(5)."""
        return field - STATE < len(self.fields)

    def number(self, field: int) -> int:
        """A field by its number in proc_pid_stat(5); 0 where this kernel does not tell it."""
        return int(self.fields[field - STATE]) if self.has(field) else 0


@dataclass(frozen=True)
class Process:
    """One process: pid, start in clock ticks since boot (field 22 of /proc/PID/stat), session.

    Raw ticks are kept because a create time derived from the clock moves with the clock.
    """

    pid: int
    start: int
    session: int
    parent: int
    name: str
    state: str = "S"


@dataclass(frozen=True)
class Thread:
    """One thread: its state in words, the kernel function it waits in, its system call, its stack.

    `syscall` is the number with its arguments, `running`, or empty (see proc_pid_syscall(5)).
    """

    tid: int
    name: str
    state: str
    wchan: str
    syscall: str
    stack: str


def this_host() -> Host:
    """The identity of the machine, boot and pid namespace we run in.

    Raises:
        OSError: /proc is not mounted.
    """
    machine = ""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError):
            machine = _read(path, 256).decode(errors="replace").strip()
        if machine:
            break
    return Host(machine or os.uname().nodename, boot_id(), pid_namespace())


def boot_id() -> str:
    """The random number of this boot.

    Raises:
        OSError: /proc is not mounted.
    """
    return _read(f"{PROC}/sys/kernel/random/boot_id", 256).decode("ascii").strip()


def pid_namespace() -> str:
    """The namespace in which our pids mean something, as `pid:[4026531836]`.

    Raises:
        OSError: /proc is not mounted.
    """
    return os.readlink(f"{PROC}/self/ns/pid")


def own_descriptor(descriptor: int) -> str:
    """A short path to what a descriptor of this process is open on."""
    return f"{PROC}/self/fd/{descriptor}"


def cgroups(pid: int | str) -> list[str]:
    """The cgroups of a process, a line each: `hierarchy:controllers:path`; none without cgroups."""
    return _lenient(pid, "cgroup", LONGEST_COMMAND).decode(errors="replace").splitlines()


def own_cgroups() -> list[str]:
    """The same of this process."""
    return cgroups("self")


def own_mounts() -> list[str]:
    """The lines of our mounts, as in proc_pid_mountinfo(5)."""
    return _lenient("self", "mountinfo", LONGEST_MOUNTS).decode(errors="replace").splitlines()


def seconds_waited_for_processor() -> float:
    """Seconds that the calling thread was ready to run and did not; 0 where it is not counted."""
    return _waited("thread-self")


def queued_for_processor(pid: int) -> float:
    """Seconds that the first thread of a process was ready to run and did not; 0 if not counted."""
    return _waited(pid)


def _waited(task: int | str) -> float:
    # Linux counts nanoseconds in the second number of `schedstat`.
    counters = _lenient(task, "schedstat", 256).split()
    is_counted = len(counters) > 1 and counters[1].isdigit()
    return int(counters[1]) / 1e9 if is_counted else 0.0


def resident_bytes(pid: int | str = "self") -> int:
    """Bytes of a process, this one if not said, that are in memory; 0 where that is not told."""
    fields = _lenient(pid, "statm", 256).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


# -- one process -----------------------------------------------------------------------------


def pids() -> list[int]:
    """The numbers of all processes that can be seen.

    Raises:
        OSError: /proc is not mounted.
    """
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def stat(pid: int) -> Stat | None:
    """What the kernel counts of the process that has this pid now, or None."""
    text = _lenient(pid, "stat", LONGEST_STAT).decode(errors="replace")
    # The name may hold spaces and brackets; the fields after the last bracket do not.
    head, _, tail = text.rpartition(")")
    fields = tuple(tail.split()) if head else ()
    if len(fields) <= START - STATE:
        return None
    return Stat(head.partition("(")[2], fields)


def look(pid: int) -> Process | None:
    """The process that has this pid now, or None."""
    now = stat(pid)
    if now is None:
        return None
    return Process(
        pid=pid,
        start=now.number(START),
        session=now.number(SESSION),
        parent=now.number(PARENT),
        name=now.name,
        state=now.state,
    )


def myself() -> Process:
    """The calling process."""
    me = look(os.getpid())
    if me is None:
        raise RuntimeError(f"{PROC} does not show this process")
    return me


def started_at(pid: int) -> float | None:
    """When the living process with this number was started (Unix seconds); None without one."""
    now = stat(pid)
    if now is None or now.has_ended:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - now.number(START) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def uid(pid: int) -> int | None:
    """The user that a process runs as; None where it is gone."""
    try:
        return os.stat(f"{PROC}/{pid}").st_uid
    except OSError:
        return None


def name(pid: int) -> str:
    """The name that a process has now (15 characters); empty where it is gone."""
    return _lenient(pid, "comm", 256).decode(errors="replace").strip()


def raw_command_line(pid: int) -> bytes:
    """The words of a command line, each ended by NUL; empty where it has none or is gone.

    At most LONGEST_COMMAND bytes. A program that renames itself may leave the NULs out.
    """
    return _lenient(pid, "cmdline", LONGEST_COMMAND)


def argv(pid: int) -> list[str]:
    """The words of a command line as the program got them; none where it is gone.

    None as well where it is too long to be read whole: its last word would be a part of one.
    """
    raw = raw_command_line(pid)
    if len(raw) >= LONGEST_COMMAND or not raw.endswith(b"\0"):
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0")[:-1]]


def command_line(pid: int) -> str:
    """The command line for reading, words separated by spaces; empty where it has none."""
    return raw_command_line(pid).replace(b"\0", b" ").decode(errors="replace").strip()


def program_file(pid: int) -> str:
    """The path of the program that a process executes; empty where it may not be looked at."""
    try:
        return os.readlink(f"{PROC}/{pid}/exe")
    except OSError:
        return ""


def summary(pid: int) -> str:
    """The command line for a message: its first 120 characters, or the process's name."""
    text = command_line(pid) or name(pid)
    if not text:
        return "gone"
    return text if len(text) <= SUMMARY else text[: SUMMARY - 3] + "..."


def raw_environment(pid: int) -> bytes:
    """The variables that a process was started with, each ended by NUL.

    Empty where they may not be read. A program may have written over them (setproctitle).
    """
    return _lenient(pid, "environ", LONGEST_ENVIRONMENT)


def environment(pid: int, names: Collection[str]) -> dict[str, str]:
    """Those variables of these names that a process was started with and that can be read."""
    return parse_environment(raw_environment(pid), names)


def parse_environment(raw: bytes, names: Collection[str]) -> dict[str, str]:
    """Those variables of these names that are in a process's `raw_environment`."""
    raw = b"\0" + raw
    variables: dict[str, str] = {}
    for one in names:
        key = b"\0" + os.fsencode(one) + b"="
        at = raw.find(key)
        if at >= 0:
            variables[one] = os.fsdecode(raw[at + len(key) :].partition(b"\0")[0])
    return variables


def maps(pid: int) -> bytes:
    """The mappings of a process, a line each; empty where they may not be read."""
    return _lenient(pid, "maps", LONGEST_MAPS)


def open_files(pid: int) -> Iterator[tuple[str, str]]:
    """What a process has open: a path to the open file, and its name (`socket:[12]`, `/a/b`).

    Nothing where it may not be looked at. The file may be deleted, or of another mount namespace.
    """
    folder = f"{PROC}/{pid}/fd"
    for descriptor in _entries(folder):
        path = f"{folder}/{descriptor}"
        with contextlib.suppress(OSError):
            yield path, os.readlink(path)


def threads(pid: int) -> Iterator[Thread]:
    """Where each thread of a process is in the kernel; nothing where it is gone.

    What may not be read is empty: `stack` needs root, `syscall` the right to trace the process.
    """
    for entry in _entries(f"{PROC}/{pid}/task"):
        base = f"task/{entry}"
        status = _lenient(pid, f"{base}/status", LONGEST_STAT).decode(errors="replace")
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if not facts:
            continue
        columns = (
            _lenient(pid, f"{base}/{file}", LONGEST_STAT).decode(errors="replace").strip()
            for file in ("wchan", "syscall", "stack")
        )
        yield Thread(int(entry), facts.get("Name", ""), facts.get("State", ""), *columns)


def transferred(pid: int) -> dict[str, int]:
    """Bytes read and written (`rchar`, `read_bytes` and so on); none where it may not be read."""
    counters = {}
    for line in _lenient(pid, "io", LONGEST_STAT).decode(errors="replace").splitlines():
        key, _, number = line.partition(": ")
        if number.isdigit():
            counters[key] = int(number)
    return counters


# -- several processes -------------------------------------------------------------------------


def every_process() -> list[Process]:
    """All processes that can be seen.

    Raises:
        OSError: /proc is not mounted.
    """
    return [process for pid in pids() if (process := look(pid)) is not None]


_KERNEL_LISTS_CHILDREN = os.path.exists(f"{PROC}/self/task/{os.getpid()}/children")
"""False where the kernel was built without CONFIG_PROC_CHILDREN (gVisor, some containers)."""


def children(pid: int) -> list[int]:
    """Direct children, over all threads of `pid`; empty where it is gone."""
    if not _KERNEL_LISTS_CHILDREN:
        return [process.pid for process in every_process() if process.parent == pid]
    below: list[int] = []
    for thread in _entries(f"{PROC}/{pid}/task"):
        text = _lenient(pid, f"task/{thread}/children", LONGEST_ENVIRONMENT)
        below += [int(word) for word in text.split()]
    return below


def descendants(root: Process) -> list[Process]:
    """Every process below `root`, zombies included; `root` itself is not.

    A pid that was read from the kernel's list may be another process's when it is looked at, so a
    child counts only while its parent is the one that was asked for children (or `root`, which
    may adopt), and that parent still lives.
    """
    processes: list[Process] = []
    visited = {root.pid}
    todo = [root]
    while todo:
        parent = todo.pop()
        below = [look(pid) for pid in children(parent.pid) if pid not in visited]
        now = look(parent.pid)
        if now is None or now.start != parent.start:
            continue  # whose children those were cannot be told any more
        for process in below:
            if process is not None and process.parent in (parent.pid, root.pid):
                visited.add(process.pid)
                processes.append(process)
                todo.append(process)
    return processes


def ancestors(pid: int, most: int = 64) -> Iterator[int]:
    """`pid` and its living ancestors, up to the first process or one that cannot be seen."""
    for _ in range(most):
        yield pid
        now = stat(pid)
        if now is None or now.number(PARENT) <= 1:
            return
        pid = now.number(PARENT)


OUR_LIMITS = (errno.EMFILE, errno.ENFILE)
"""No descriptor is left, in this process or on this machine."""


def _lenient(pid: int | str, file: str, limit: int) -> bytes:
    try:
        return _read(f"{PROC}/{pid}/{file}", limit)
    except OSError as error:
        if error.errno in OUR_LIMITS:
            raise
        return b""


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        if error.errno in OUR_LIMITS:
            raise
        return []


def _read(path: str, limit: int) -> bytes:
    """At most `limit` bytes; the kernel gives some of these files a page at a time."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while limit > 0 and (part := os.read(descriptor, min(limit, 64 * 1024))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
