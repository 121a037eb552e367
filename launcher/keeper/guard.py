"""The guard: ends an engine whose keeper was killed; started as a program of its own.

`kill -9` of a keeper leaves its engine without anybody: the kernel's parent-death signal reaches
the first process only, and a FastDeploy that gets SIGTERM while it loads leaves its worker, its
launcher and its queues behind. So a second process waits for the keeper's end, which its pidfd on
stdin tells, and then does what `down` would do to the processes. It takes no lock: the instance
stays LOST until a verb has acknowledged that. The one file that it writes tells how long the logs
were before its first signal: what the engine writes while it is ended is not a cause.

It lives as long as the keeper, so it imports what it needs only when that has died.
Arguments: the instance's folder, the folder that holds `launcher`, seconds a ready engine gets,
the folder of the engine's own logs.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.keeper.state import State

SETTLE = 2.0
"""Seconds that the rest of the tree gets once its first process has ended."""
KILL_ROUNDS = 5
"""Times that what is left is killed one by one before `cgroup.kill` is used."""
QUIET = 1.0
"""Seconds without a process of the engine after which it is gone: one may not have executed yet."""
LONGEST = 28.0
"""Seconds after the keeper's end in which the guard is done, whatever happens."""
IMPORT_TRIES = 5
"""Seconds, a try each, until an upgrade that replaces our files has to be done."""
LOOK = 0.2
"""Seconds between two looks at what is left; the parent that the kernel tells is gone."""


def main() -> int:
    """Wait for the end of the keeper, then for that of its engine, and help it along."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        # Who stops every process of a service or a terminal stops the keeper too; we come last.
        signal.signal(number, signal.SIG_IGN)
    folder, package, grace, logs = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    poller = select.poll()
    poller.register(0, select.POLLIN)
    while not poller.poll():
        continue
    died = time.monotonic()
    sys.path.insert(0, package)
    lengths = measure(os.path.join(folder, "logs"), logs)
    for _ in range(IMPORT_TRIES):
        try:
            import launcher.keeper.cleanup  # noqa: F401 - to see whether all of it is there
        except Exception:  # half of an upgrade; the last failure is told below, by a traceback
            time.sleep(1.0)
        else:
            break
    if lengths is not None:
        note(folder, lengths)
    state = state_of(folder)
    ended, left = end_engine(state, died, grace)
    if not left:
        remove_leftovers(state)
    if ended or left:
        tell(f"the keeper of {folder} died; its guard ended {ended} processes, {left} are left")
    return 1 if left else 0


def measure(*folders: str) -> dict[str, int] | None:
    """How long the logs are now; None where our files are just being replaced.

    At once, before the slow imports: the kernel has sent the engine a signal by now.
    """
    try:
        from launcher.files import lengths
    except Exception:  # half of an upgrade: the logs are read to their end, then
        return None
    return lengths(*folders)


def note(folder: str, lengths: Mapping[str, int]) -> None:
    """Write the lengths beside the logs, for `diagnose`; the engine is ended even if that fails."""
    from pathlib import Path

    from launcher.diagnose import log_lengths
    from launcher.keeper.identity import TOKEN_VARIABLE

    try:
        log_lengths.write(Path(folder, "logs"), os.environ[TOKEN_VARIABLE], lengths)
    except OSError as error:
        tell(f"the lengths of the logs of {folder} are not noted: {error}")


def end_engine(state: State, died: float, grace: float) -> tuple[int, int]:
    """(processes that were killed, processes that would not go)."""
    from launcher.keeper import cleanup, identity

    patience = grace if state.ready_at is not None else 0.0
    end = died + min(patience, LONGEST - cleanup.KILL_DEADLINE)
    first = state.engine
    if first and not identity.is_same_process(first.pid, first.start):
        end = min(end, died + SETTLE)
    if first and patience:
        # A stopped process sees the kernel's SIGTERM only once it goes on.
        identity.send(first.pid, first.start, signal.SIGCONT)
    ended, rounds, quiet_since = 0, 0, None
    while True:
        now = time.monotonic()
        strays = cleanup.strays(state)
        if not strays:
            quiet_since = quiet_since or now
            if now - quiet_since >= QUIET:
                return ended, 0
        else:
            quiet_since = None
            if first and not identity.is_same_process(first.pid, first.start):
                end = min(end, now + SETTLE)
            if now >= end:
                ended += len(strays) - len(cleanup.kill(strays))
                rounds += 1
                if rounds > KILL_ROUNDS:
                    cleanup.kill_cgroup(state)
        if now - died > LONGEST:
            return ended, len(strays)
        time.sleep(LOOK)


def remove_leftovers(state: State) -> None:
    """Remove what the keeper had claimed, if it still is what was claimed.

    What it had no time to claim is left for `down`, which can tell what is the instance's.
    """
    from launcher.keeper import leftovers
    from launcher.keeper.own_cgroup import OwnCgroup

    own = OwnCgroup.recorded(state.cgroup, state.token)
    if own is not None:
        own.remove()
    for file in state.shm:
        leftovers.remove_file(file)
    for queue in state.queues:
        leftovers.remove_queue(queue)
    for file in state.temporary:
        if not leftovers.used_by_others(file, ()):
            leftovers.remove_file(file)


def state_of(folder: str) -> State:
    """The keeper's last state; where it cannot be read, what our own token proves."""
    from pathlib import Path

    from launcher.keeper.identity import TOKEN_VARIABLE, this_host
    from launcher.keeper.state import DamagedState, State, read_state

    token, here = os.environ[TOKEN_VARIABLE], this_host()
    try:
        stored = read_state(Path(folder))
    except DamagedState:
        stored = None
    if stored is not None and stored.token == token:
        return stored
    return State("", token, machine=here.machine, boot=here.boot, pid_namespace=here.pid_namespace)


def tell(text: str) -> None:
    """A line in the keeper's log, if that can still be written."""
    try:
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
        sys.stderr.flush()
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
