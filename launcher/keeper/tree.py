"""The engine's processes: discovered while their parentage is known, watched by pidfd.

The keeper is a child subreaper, so every process the engine makes stays below the keeper,
whatever session it moves to and whichever of its parents dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from launcher.host.processes import FLAGS, OUR_LIMITS, START, WAIT_STATUS, Process, Stat, stat
from launcher.keeper import identity, sessions
from launcher.keeper.claim import SessionClaim
from launcher.keeper.loop import Loop

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PF_FORKNOEXEC = 0x40

REMEMBERED_EXITS = 1000
"""A keeper reaps for months what its engine leaves to it; only the last are of interest."""


def become_subreaper() -> None:
    """Adopt every orphan below this process from now on.

    Raises:
        OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER was refused")


def begin_engine(parent: int) -> None:
    """In a fresh child of `parent`, before its exec: signals as a program expects them.

    A shell ignores SIGINT and SIGQUIT for what it starts in the background, `nohup` SIGHUP; that
    would be inherited, and an engine that ignores the signal of its own stop has to be killed.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    die_with_parent(parent)


def die_with_parent(parent: int) -> None:
    """In a fresh child of `parent`: be terminated when that dies, for instance by `kill -9`.

    Only the engine's first process is reached by this, and a ready server ends well by it; the
    rest is what the guard is for.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it died before it could be asked for
        os._exit(1)


@dataclass
class _Tracked:
    process: Process
    descriptor: int
    last_seen: int
    """Ticks since boot when it was last known to exist."""


class Tree:
    """All living processes below this one that were discovered."""

    def __init__(self, loop: Loop, on_exit: Callable[[Process], None]) -> None:
        """Nothing discovered yet; `on_exit` is told of every death, once."""
        self._loop = loop
        self._on_exit = on_exit
        self._tracked: dict[int, _Tracked] = {}
        self.helpers: set[int] = set()
        """Children that are the keeper's own, not the engine's; nor is what they start."""
        self.exits: dict[int, int] = {}
        """Wait status by pid of those that ended, as far as it could be learnt."""

    @property
    def processes(self) -> list[Process]:
        """The living ones."""
        return [t.process for t in self._tracked.values()]

    @property
    def pids(self) -> list[int]:
        """Their pids."""
        return list(self._tracked)

    def sessions(self) -> list[SessionClaim]:
        """The sessions that the living are in, as `state.json` keeps them.

        Only theirs: the number of a session whose last member is dead may be anybody's. The
        keeper's own session is not the engine's (in a terminal it is the user's shell's).
        """
        last_seen: dict[int, int] = {}
        for tracked in self._tracked.values():
            number = tracked.process.session
            last_seen[number] = max(tracked.last_seen, last_seen.get(number, 0))
        last_seen.pop(os.getsid(0), None)
        return [SessionClaim(number, at) for number, at in sorted(last_seen.items())]

    def discover(self) -> list[Process]:
        """Look for new processes; returns those found now.

        A dead child counts as well: only so is it reaped, and is an engine that ended within its
        first milliseconds ever noticed. Without a descriptor left, what is new is found later.
        """
        processes: list[Process] = []
        try:
            self._discover(processes)
        except OSError as error:
            if error.errno not in OUR_LIMITS:
                raise
        return processes

    def _discover(self, processes: list[Process]) -> None:
        own = set(self.helpers)
        for process in identity.descendants(identity.myself()):  # parents before their children
            if process.pid in own or process.parent in own:
                own.add(process.pid)
                continue
            dead = process.state in "ZX"
            if process.pid in self._tracked or (dead and process.parent != os.getpid()):
                continue
            try:
                descriptor = os.pidfd_open(process.pid)
            except ProcessLookupError:
                continue
            at, now = sessions.ticks_now(), identity.look(process.pid)
            if now is None or now.start != process.start:
                os.close(descriptor)
                continue
            self._tracked[process.pid] = _Tracked(now, descriptor, at)
            self.exits.pop(process.pid, None)  # an earlier process's that had this number
            self._loop.add_reader(descriptor, functools.partial(self._gone, process.pid))
            processes.append(process)

    def refresh(self) -> None:
        """Look again at names and sessions, which change (setsid, exec, setproctitle)."""
        for tracked in self._tracked.values():
            at = sessions.ticks_now()
            try:
                now = identity.look(tracked.process.pid)
            except OSError:  # no descriptor is left: what was known of it stays
                return
            if now is not None and now.start == tracked.process.start:
                tracked.process, tracked.last_seen = now, at

    def _gone(self, pid: int) -> None:
        tracked = self._tracked.pop(pid, None)
        if tracked is None:
            return
        self._loop.remove_reader(tracked.descriptor)
        os.close(tracked.descriptor)
        with contextlib.suppress(OSError):  # the parent's own wait tells it as well
            status = zombie_status(tracked.process)
            if status:
                self._note_exit(pid, status)
        self.reap()
        # What it left behind has just become our child; see it before it can fork on.
        self.discover()
        self._on_exit(tracked.process)

    def reap(self) -> None:
        """Collect the exit status of every dead child, adopted ones included."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._note_exit(pid, status)

    def _note_exit(self, pid: int, status: int) -> None:
        self.exits[pid] = status
        if len(self.exits) > REMEMBERED_EXITS:
            del self.exits[next(iter(self.exits))]

    def send(self, pid: int, number: signal.Signals) -> bool:
        """Signal one tracked process through its pidfd; False where it is gone."""
        tracked = self._tracked.get(pid)
        if tracked is None:
            return False
        try:
            signal.pidfd_send_signal(tracked.descriptor, number)
        except ProcessLookupError:
            return False
        return True

    def send_session(self, session: int, number: signal.Signals) -> None:
        """Signal every tracked process of a session."""
        for tracked in list(self._tracked.values()):
            if tracked.process.session == session:
                self.send(tracked.process.pid, number)

    def kill_all(self) -> None:
        """SIGKILL to every process of the tree, and to those found on the way."""
        for _ in range(3):
            for pid in self.pids:
                self.send(pid, signal.SIGKILL)
            if not self.discover():
                return


def zombie_status(process: Process) -> int | None:
    """The wait status of a dead process that its parent has not waited for yet (proc(5), field 52).

    None where the parent was faster, or the kernel does not show it to us. An engine's launcher
    asks for its workers every second or two, and is ended by us before it has told their code.
    """
    dead = _zombie(process)
    return dead.number(WAIT_STATUS) if dead is not None else None


def died_after_exec(process: Process) -> bool:
    """True where a dead process is known to have executed a program after it was forked."""
    dead = _zombie(process)
    return dead is not None and not dead.number(FLAGS) & _PF_FORKNOEXEC


def _zombie(process: Process) -> Stat | None:
    """What the kernel counts of a zombie; None where its parent has waited for it."""
    now = stat(process.pid)
    if now is None or now.state != "Z" or now.number(START) != process.start:
        return None
    return now if now.has(WAIT_STATUS) else None


def exit_code(status: int) -> int:
    """A wait status as subprocess says it: the exit code, or minus the signal's number."""
    return os.waitstatus_to_exitcode(status)
