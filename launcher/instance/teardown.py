"""`down`: stops an instance through its keeper, or cleans up where there is none any more."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.diagnose import log_lengths
from launcher.errors import DeadlineError, DeployError, ExitCode, PreconditionError, Problem
from launcher.files import lengths
from launcher.instance import last_word, start, survivors
from launcher.instance.store import InstanceDir, Lock, make_folder, unknown, view
from launcher.keeper import cleanup, engine_stop
from launcher.keeper.control import Client
from launcher.keeper.events import Events
from launcher.keeper.identity import Process, look, send, this_host
from launcher.keeper.leftovers import file_identity
from launcher.keeper.sessions import ticks_now
from launcher.keeper.state import DamagedState, State, write_state
from launcher.lifecycle import FINAL, LIVE, UNSUCCESSFUL, InstanceState
from launcher.plan.model import PortUse
from launcher.result import Result

LONGEST_STOP = 1e8
"""Seconds; a keeper that names a longer deadline is not believed."""
LOCK_DEADLINE = 60.0
"""Seconds to wait for another command's lock where no keeper answers."""
LOCK_POLL = 0.05
"""Seconds between two looks at a lock: the kernel sends no event when an flock is released."""
SOCKET_DEADLINE = 2.0
"""Seconds in which a keeper whose socket was deleted has made it anew."""
KEEPER_END = 2.0
"""Seconds that a keeper gets to end after it has closed its socket."""
UNKNOWN_PLAN = 600.0
"""Seconds for a stop whose deadline neither the keeper nor a plan tells."""


def down(instance: InstanceDir, *, drain: float | None = None) -> Result:
    """Stop the instance and return the receipt of what is left (all 0).

    `drain` in seconds replaces the profile's `stop.drain`. An instance that does not run is
    already done.

    Raises:
        PreconditionError: the state belongs to another machine, or the lock is held.
        DeadlineError: the keeper did not finish in the time its plan allows.
    """
    started = time.monotonic()
    end = started + LOCK_DEADLINE
    while True:
        if not instance.folder.is_dir() and survivors.keeper_of(instance.folder) is None:
            if not survivors.engine_of(instance.folder):
                data = {
                    "state": InstanceState.ABSENT,
                    "was": InstanceState.ABSENT,
                    "note": unknown(instance.name),
                }
                return Result("down", data, instance.name)
            make_folder(instance)  # for the record of what is cleaned up now
        lock = take_if_free(instance)
        if lock is not None:
            try:
                return _down_without_keeper(instance, started)
            finally:
                lock.release()
        result = _down_with_keeper(instance, started, drain)
        if result is None and time.monotonic() > started + SOCKET_DEADLINE:
            result = _signal_keeper(instance, started, drain)
        if result is not None:
            return result
        if time.monotonic() > end:
            raise PreconditionError.of(
                "locked", f"another command holds {instance.name}", str(instance.folder / "lock")
            )
        time.sleep(LOCK_POLL)


def take_if_free(instance: InstanceDir) -> Lock | None:
    """The lock where no keeper lives; None where one does, even if its lock was deleted.

    Raises:
        PreconditionError: the lock cannot be made.
    """
    try:
        lock = Lock.take(instance.folder) if instance.folder.is_dir() else None
    except PreconditionError:
        if survivors.keeper_of(instance.folder) is None:
            raise
        return None  # who lives can be asked, whatever its folder takes
    if lock is not None and survivors.keeper_of(instance.folder) is not None:
        lock.release()
        return None
    return lock


def _signal_keeper(instance: InstanceDir, started: float, drain: float | None) -> Result | None:
    """Stop a keeper that cannot be reached by its socket: SIGTERM does the same as a `stop`."""
    was, state, _ = view(instance)
    keeper = survivors.keeper_of(instance.folder, state)
    if keeper is None:
        return None
    descriptor = _pidfd(keeper.pid)
    if descriptor is None:
        return None
    limit = _limit(instance, drain)
    try:
        if not send(keeper.pid, keeper.start, signal.SIGTERM):
            return None
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        if not poller.poll(limit * 1000):
            raise DeadlineError.of(
                "keeper-timeout",
                f"the keeper of {instance.name} does not end; its socket does not answer either",
                str(instance.folder),
                f"end it (`kill -9 {keeper.pid}`), then `ernie-deploy down {instance.name}`",
            )
    finally:
        os.close(descriptor)
    try:
        state = instance.state()
    except DamagedState:
        state = None
    if state is None or state.live or not state.receipt:
        return None  # it could not say how it ended: look without it
    return _result(instance, was, state, started)


def _down_with_keeper(instance: InstanceDir, started: float, drain: float | None) -> Result | None:
    """Ask the keeper; None where none listens (yet)."""
    try:
        client = Client(instance.folder)
    except OSError:
        return None
    keeper = None
    final: Mapping[str, Any] = {}
    try:
        # Before the stop: an engine may be gone so fast that the end would be missed.
        reported = client.request("follow").get("state", {})
        was = InstanceState.parse(reported.get("state", InstanceState.LOADING))
        keeper = _pidfd((reported.get("keeper") or {}).get("pid"))
        with contextlib.closing(Client(instance.folder)) as asking:
            answer = asking.request("stop", reason="down", drain=drain)
        if not answer.get("ok"):
            raise PreconditionError.of(
                "keeper-refused", f"the keeper does not know how to stop: {answer.get('error')}"
            )
        limit = _deadline_of(answer) or _limit(instance, drain)
        try:
            for event in client.events(limit):
                if event and event.get("event") == "state":
                    final = event
        except TimeoutError:
            raise DeadlineError.of(
                "down-timeout", f"{instance.name} is still not down after {limit:g} s", None,
                f"`ernie-deploy status {instance.name}` and the keeper's log"
                f" {instance.logs / 'keeper.log'}",
            ) from None  # fmt: skip
        _wait_for_end(keeper)
    except TimeoutError:
        raise DeadlineError.of(
            "keeper-timeout",
            f"the keeper of {instance.name} does not answer", str(instance.folder),
            f"end it ({_how_to_end_keeper(instance)}), then `ernie-deploy down {instance.name}`",
        ) from None  # fmt: skip
    except ConnectionError:
        return None
    finally:
        client.close()
        if keeper is not None:
            os.close(keeper)
    if final.get("receipt") and final.get("state") in FINAL:
        last = last_word.from_event({**reported, "instance": instance.name}, final)
        last_word.write(instance, last)  # unless the keeper did: its disk may be full
        return _result(instance, was, last, started)
    # A keeper of an older release, or one that was killed on the way: look without it.
    try:
        state = instance.state()
    except DamagedState:
        state = None
    return None if state is None or state.live else _result(instance, was, state, started)


def _pidfd(pid: object) -> int | None:
    """The keeper's pidfd, taken while it is known to live: it answers on its socket."""
    with contextlib.suppress(OSError):
        return os.pidfd_open(int(str(pid)))
    return None


def _wait_for_end(keeper: int | None) -> None:
    """The keeper is a process of the instance as well; it takes milliseconds to go."""
    if keeper is not None:
        poller = select.poll()
        poller.register(keeper, select.POLLIN)
        poller.poll(KEEPER_END * 1000)


def _how_to_end_keeper(instance: InstanceDir) -> str:
    """Only a pid that is proved to be the keeper's is named: it would be killed."""
    keeper = survivors.keeper_of(instance.folder)
    return "its pid cannot be found" if keeper is None else f"`kill -9 {keeper.pid}`"


def _deadline_of(answer: Mapping[str, Any]) -> float | None:
    """The seconds that the keeper says its stop may take; None of an older keeper, or nonsense."""
    seconds = answer.get("deadline")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    return float(seconds) if 0 < seconds < LONGEST_STOP else None


def _limit(instance: InstanceDir, drain: float | None) -> float:
    """The same of a keeper that does not tell: one of an older release, or without a socket."""
    try:
        return engine_stop.longest_stop(instance.plan().stop, drain) + engine_stop.MARGIN
    except DeployError:
        return UNKNOWN_PLAN


def _down_without_keeper(instance: InstanceDir, started: float) -> Result:
    """We hold the lock, so no keeper lives: clean up what it may have left."""
    was, state, note = view_unlocked(instance)
    if was == InstanceState.FOREIGN:
        raise PreconditionError.of(
            "foreign-state", f"the state of {instance.name} is not this machine's: {note}",
            str(instance.folder), _elsewhere(instance),
        )  # fmt: skip
    if was == InstanceState.ABSENT:
        # An `up` ended before its keeper lived: there is nothing but what it had written.
        shutil.rmtree(instance.folder)
        note = "no server of it was ever started; the files are removed"
        return Result(
            "down", {"state": InstanceState.ABSENT, "was": was, "note": note}, instance.name
        )
    if state is None or was == InstanceState.LOST:
        state = _clean(instance, state, started)
        return _result(instance, was, state, started)
    if state.receipt and not cleanup.nothing_left(state.receipt):
        # An earlier end left something that could not be removed then.
        state = _clean(instance, state, started)
        if cleanup.nothing_left(state.receipt or {}):
            _acknowledge(instance, state)
        return _result(instance, was, state, started)
    _acknowledge(instance, state)
    data = {"state": InstanceState.STOPPED, "was": was, "receipt": state.receipt, "note": note}
    return Result("down", data, instance.name)


def _acknowledge(instance: InstanceDir, state: State) -> None:
    """The operator acknowledges that it failed or died: it is stopped, without an alarm."""
    if state.state not in UNSUCCESSFUL:
        return
    state.was = state.state
    defect = state.enter(InstanceState.STOPPED, keeper_lives=False)
    try:
        events = Events(instance.folder)
        write_state(instance.folder, state)
    except OSError as error:
        raise _not_writable(instance, "is not running", error) from None
    if defect is not None:
        events.append("warning", message=defect)
    events.append("state", state=state.state, was=state.was)
    events.close()


def _not_writable(instance: InstanceDir, what: str, error: OSError) -> PreconditionError:
    return PreconditionError(
        Problem(
            "state-not-writable",
            f"{instance.name} {what}, but that cannot be written down: {error.strerror}",
            str(instance.folder), "free some disk space, then `down` again",
        )
    )  # fmt: skip


def view_unlocked(instance: InstanceDir) -> tuple[InstanceState, State | None, str | None]:
    """`view` for the holder of the lock (see `take_if_free`): no keeper lives, whatever it says."""
    name, state, note = view(instance)
    if name in LIVE:
        name = InstanceState.LOST if state else InstanceState.ABSENT
    if name == InstanceState.ABSENT and cleanup.strays(_reconstruct(instance)):
        name = InstanceState.LOST  # the file that said so is gone, its processes are not
    return name, state, note


def _elsewhere(instance: InstanceDir) -> str:
    return (
        "run `down` where it was started; if that machine or container is gone for good, remove"
        f" {instance.folder}"
    )


def clean_if_lost(instance: InstanceDir) -> dict[str, Any] | None:
    """Before a start, by the holder of the lock: clean up after a killed keeper.

    Returns the receipt where something was to be cleaned.

    Raises:
        PreconditionError: the state is another machine's, or something could not be removed.
    """
    was, state, note = view_unlocked(instance)
    if was == InstanceState.FOREIGN:
        raise PreconditionError.of(
            "foreign-state", f"the state of {instance.name} is not this machine's: {note}",
            str(instance.folder), f"`--name` starts another instance; {_elsewhere(instance)}",
        )  # fmt: skip
    if was not in (InstanceState.LOST, InstanceState.DAMAGED):
        return None
    state = _clean(instance, state, time.monotonic())
    receipt = state.receipt or {}
    if not cleanup.nothing_left(receipt):
        raise PreconditionError.of(
            "leftovers", f"an earlier run left: {', '.join(receipt['left'])}", str(instance.folder)
        )
    return receipt


def _clean(instance: InstanceDir, state: State | None, started: float) -> State:
    """Kill the strays, remove the leftovers, store the final state; needs the lock."""
    if state is None:
        state = _reconstruct(instance)
    events = Events(instance.folder)
    _claim_what_can_be_proved(instance, state)
    _note_what_was_written(instance, state)
    killed, _ = cleanup.kill_strays(state)
    events.append("cleaned", killed=killed)
    state.receipt = cleanup.clean(state, _ports(instance), started)
    if state.live or state.state not in UNSUCCESSFUL:
        defect = state.enter(InstanceState.STOPPED, keeper_lives=False)
        if defect is not None:
            events.append("warning", message=defect)
    state.ended_at = time.time()
    state.processes = [p.to_json() for p in cleanup.strays(state)]
    try:
        (instance.folder / "control.sock").unlink(missing_ok=True)
        write_state(instance.folder, state)
    except OSError as error:
        raise _not_writable(instance, "is cleaned up", error) from None
    events.append("state", state=state.state, receipt=state.receipt)
    events.close()
    return state


def _note_what_was_written(instance: InstanceDir, state: State) -> None:
    """How long the logs were before the first signal: the keeper's, its guard's, or ours now.

    Where no process is left, nothing is signalled, and the logs count to their end.
    """
    if state.log_lengths is not None:
        return
    state.log_lengths = log_lengths.of_start(instance.logs, state.token)
    if state.log_lengths is not None or not cleanup.strays(state):
        return
    folders = [instance.logs]
    with contextlib.suppress(DeployError):  # its plan is gone: its own logs are not known either
        folders.append(Path(instance.plan().log_folder))
    state.log_lengths = lengths(*folders)
    # Without it, a reader of the folder alone takes the end for a cause; `diagnose NAME` does not.
    with contextlib.suppress(OSError):
        log_lengths.write(instance.logs, state.token, state.log_lengths)


def _reconstruct(instance: InstanceDir) -> State:
    """A state for an instance whose `state.json` is damaged: the token still proves processes."""
    here = this_host()
    living = survivors.engine_of(instance.folder)
    token = instance.token() or next((one.token for one in living), "")
    state = State(
        instance.name, token, machine=here.machine, boot=here.boot, pid_namespace=here.pid_namespace
    )
    state.processes = [one.process.to_json() for one in living]
    for path in {one.temporary for one in living if one.temporary}:
        # Its name was drawn for that start (see `start.temporary_path`).
        if start.TEMPORARY.fullmatch(path) and os.path.isdir(path) and _private(path):
            claim = file_identity(path)
            state.temporary += [claim] if claim is not None else []
    try:
        temporary = file_identity(instance.plan().temporary_folder)
    except DeployError:
        temporary = None
    if temporary is not None and temporary not in state.temporary:
        state.temporary.append(temporary)
    return state


def _claim_what_can_be_proved(instance: InstanceDir, state: State) -> None:
    """Look once more for leftovers that appeared after the keeper's last look.

    Where processes are still alive, what they use is proved by their use.
    """
    from launcher.keeper.leftovers import Claims, used_shm

    # By use, and first: without its plan nothing else tells what it leaves.
    living = cleanup.strays(state)
    known_shm = {c["path"] for c in state.shm}
    state.shm += used_shm([p.pid for p in living], _begun(state, living), known_shm)
    try:
        plan = instance.plan()
    except DeployError:
        return
    temporary = file_identity(plan.temporary_folder)
    claimed = [c["path"] for c in state.temporary]
    if temporary and plan.temporary_folder not in claimed and _private(plan.temporary_folder):
        # Its name was drawn for this start, so it is ours even if there was no time to record it.
        state.temporary.append(temporary)
    if state.boot != this_host().boot:
        # Neither shared memory nor queues outlive a reboot: what has their names is others'.
        state.shm, state.queues = [], []
        return
    claims = Claims(plan.leftovers, plan.cwd)
    claims.started = state.started_at
    recorded = [p for p in (*state.processes, state.engine) if p and not _reused(p)]
    if state.engine in recorded:
        claims.pid = state.engine["pid"]
    claims.shm = {c["path"]: c for c in state.shm}
    claims.queues = {c["key"]: c for c in state.queues}
    claims.temporary = {c["path"]: c for c in state.temporary}
    claims.seen_ids = {int(p["pid"]) for p in recorded}
    pids = [p.pid for p in living]
    if not pids and not state.engine:
        return  # the engine was never started: whatever is there, it made none of it
    if pids:
        claims.look(pids)
    else:
        claims.look_after_death()
    state.shm = list(claims.shm.values())
    state.queues = list(claims.queues.values())
    state.temporary = list(claims.temporary.values())


def _begun(state: State, living: Sequence[Process]) -> float:
    """When it was started, in Unix seconds; by its oldest process where its state is lost."""
    ages = [ticks_now() - process.start for process in living]
    oldest = max(ages, default=0) / os.sysconf("SC_CLK_TCK")
    return state.started_at or time.time() - oldest - 1.0


def _reused(recorded: Mapping[str, Any]) -> bool:
    """True where the pid is another process's by now: names that hold it prove nothing."""
    now = look(int(recorded["pid"]))
    return now is not None and now.start != recorded.get("start")


def _private(path: str) -> bool:
    info = os.stat(path, follow_symlinks=False)
    return info.st_uid == os.getuid() and not info.st_mode & 0o077


def _ports(instance: InstanceDir) -> tuple[PortUse, ...]:
    try:
        return instance.plan().ports
    except DeployError:
        return ()


def _result(instance: InstanceDir, was: InstanceState, state: State, started: float) -> Result:
    receipt = dict(state.receipt or {})
    receipt["seconds"] = round(time.monotonic() - started, 3)
    data = {"state": state.state, "was": was, "receipt": receipt}
    if state.receipt and cleanup.nothing_left(state.receipt):
        return Result("down", data, instance.name)
    problem = Problem(
        "leftovers", f"left behind: {', '.join(receipt.get('left', ['unknown']))}",
        str(instance.folder), "`ernie-deploy down` again; what stays hangs in the kernel",
    )  # fmt: skip
    return Result("down", data, instance.name, ExitCode.NEGATIVE, (problem,))
