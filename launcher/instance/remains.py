"""What an instance has left without a keeper: its last processes are ended, its remains removed.

Everything here is done by the holder of the instance's lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher.codec import encode
from launcher.diagnose import log_lengths
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.files import lengths
from launcher.instance import start, survivors
from launcher.instance.lost_incident import LostKeeper
from launcher.instance.payloads import Down
from launcher.instance.store import InstanceDir, view
from launcher.keeper import cleanup
from launcher.keeper.claim import EngineClaim, ProcessClaim
from launcher.keeper.events import Events
from launcher.keeper.identity import Process, look, this_host
from launcher.keeper.leftovers import Claims, file_identity, used_shm
from launcher.keeper.mark import Mark
from launcher.keeper.receipt import Receipt
from launcher.keeper.sessions import ticks_now
from launcher.keeper.state import State, write_state
from launcher.lifecycle import LIVE, UNSUCCESSFUL, InstanceState
from launcher.plan.model import PortUse
from launcher.result import Result


def down_without_keeper(instance: InstanceDir, started: float) -> Result[Down]:
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
        return Result("down", Down(InstanceState.ABSENT, was, note=note), instance.name)
    if state is None or was == InstanceState.LOST:
        state = _clean(instance, state, started, LostKeeper(instance, state, note, "stopped"))
        return down_result(instance, was, state, started)
    if state.receipt and not state.receipt.is_clean:
        # An earlier end left something that could not be removed then.
        state = _clean(instance, state, started)
        if state.receipt and state.receipt.is_clean:
            _acknowledge(instance, state)
        return down_result(instance, was, state, started)
    _acknowledge(instance, state)
    data = Down(InstanceState.STOPPED, was, state.receipt, note)
    return Result("down", data, instance.name)


def _acknowledge(instance: InstanceDir, state: State) -> None:
    """The operator acknowledges that it failed or died: it is stopped, without an alarm."""
    if state.state not in UNSUCCESSFUL:
        return
    state.previous_state = state.state
    defect = state.enter(InstanceState.STOPPED, keeper_lives=False)
    try:
        events = Events(instance.folder)
        write_state(instance.folder, state)
    except OSError as error:
        raise _not_writable(instance, "is not running", error) from None
    if defect is not None:
        events.append("warning", message=defect)
    events.append("state", state=state.state, previous_state=state.previous_state)
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


def clean_if_lost(instance: InstanceDir) -> Receipt | None:
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
    lost = LostKeeper(instance, state, note, "restarted")
    state = _clean(instance, state, time.monotonic(), lost)
    receipt = state.receipt
    if receipt is not None and not receipt.is_clean:
        raise PreconditionError.of(
            "leftovers", f"an earlier run left: {', '.join(receipt.left)}", str(instance.folder)
        )
    return receipt


def _clean(
    instance: InstanceDir, state: State | None, started: float, lost: LostKeeper | None = None
) -> State:
    """Kill the strays, remove the leftovers, store the final state; needs the lock.

    `lost` is the incident to be written, where a keeper was killed.
    """
    if state is None:
        state = _reconstruct(instance)
    events = Events(instance.folder)
    left_by = _mark(instance, state)  # while there is a process to ask
    _claim_what_can_be_proved(instance, state, left_by)
    _note_what_was_written(instance, state)
    killed, _ = cleanup.kill_strays(state)
    events.append("cleaned", killed=killed)
    state.receipt = cleanup.clean(state, _ports(left_by), started)
    if state.live or state.state not in UNSUCCESSFUL:
        defect = state.enter(InstanceState.STOPPED, keeper_lives=False)
        if defect is not None:
            events.append("warning", message=defect)
    state.ended_at = time.time()
    state.processes = [ProcessClaim.of(p) for p in cleanup.strays(state)]
    if lost is not None:
        lost.write(state, events)
    try:
        (instance.folder / "control.sock").unlink(missing_ok=True)
        write_state(instance.folder, state)
    except OSError as error:
        raise _not_writable(instance, "is cleaned up", error) from None
    events.append("state", state=state.state, receipt=encode(state.receipt))
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
    state.processes = [ProcessClaim.of(one.process) for one in living]
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


def _mark(instance: InstanceDir, state: State) -> Mark | None:
    """What the start may have left: by its plan, or as a living process of it was told."""
    try:
        plan = instance.plan()
    except DeployError:
        return survivors.mark_of(instance.folder, state.token)
    ports = tuple(use.number for use in plan.engine_ports)
    return Mark(plan.leftovers, plan.cwd, state.started_at, ports)


def _claim_what_can_be_proved(instance: InstanceDir, state: State, left_by: Mark | None) -> None:
    """Look once more for leftovers that appeared after the keeper's last look.

    Where processes are still alive, what they use is proved by their use.
    """
    # By use, and first: without its plan nothing else tells what it leaves.
    living = cleanup.strays(state)
    known_shm = {c.path for c in state.shm}
    state.shm += used_shm([p.pid for p in living], _begun(state, living), known_shm)
    with contextlib.suppress(DeployError):
        _claim_temporary(state, instance.plan().temporary_folder)
    if left_by is None:
        return
    if state.boot != this_host().boot:
        # Neither shared memory nor queues outlive a reboot: what has their names is others'.
        state.shm, state.queues = [], []
        return
    claims = Claims(left_by.leftovers, left_by.cwd)
    if state.started_at:
        claims.started = state.started_at
    else:
        claims.begin_late(left_by.started)
    recorded = [p for p in (*state.processes, state.engine) if p and not _reused(p)]
    if state.engine is not None and state.engine in recorded:
        claims.pid = state.engine.pid
    claims.shm = {c.path: c for c in state.shm}
    claims.queues = {c.key: c for c in state.queues}
    claims.temporary = {c.path: c for c in state.temporary}
    claims.seen_ids = {p.pid for p in recorded}
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


def _claim_temporary(state: State, path: str) -> None:
    """Its name was drawn for this start, so it is ours even if there was no time to record it."""
    temporary = file_identity(path)
    if temporary and path not in [c.path for c in state.temporary] and _private(path):
        state.temporary.append(temporary)


def _begun(state: State, living: Sequence[Process]) -> float:
    """When it was started, in Unix seconds; by its oldest process where its state is lost."""
    ages = [ticks_now() - process.start for process in living]
    oldest = max(ages, default=0) / os.sysconf("SC_CLK_TCK")
    return state.started_at or time.time() - oldest - 1.0


def _reused(recorded: ProcessClaim | EngineClaim) -> bool:
    """True where the pid is another process's by now: names that hold it prove nothing."""
    now = look(recorded.pid)
    return now is not None and now.start != recorded.start


def _private(path: str) -> bool:
    info = os.stat(path, follow_symlinks=False)
    return info.st_uid == os.getuid() and not info.st_mode & 0o077


def _ports(left_by: Mark | None) -> tuple[PortUse, ...]:
    numbers = left_by.ports if left_by is not None else ()
    return tuple(PortUse("", number, "") for number in numbers)


def down_result(
    instance: InstanceDir, was: InstanceState, state: State, started: float
) -> Result[Down]:
    """The answer of `down`: the receipt, and a problem where something is left."""
    receipt = state.receipt
    if receipt is not None:
        receipt = replace(receipt, seconds=round(time.monotonic() - started, 3))
    data = Down(state.state, was, receipt)
    if receipt is not None and receipt.is_clean:
        return Result("down", data, instance.name)
    problem = Problem(
        "leftovers", f"left behind: {', '.join(receipt.left if receipt else ['unknown'])}",
        str(instance.folder), "`ernie-deploy down` again; what stays hangs in the kernel",
    )  # fmt: skip
    return Result("down", data, instance.name, ExitCode.NEGATIVE, (problem,))
