"""`down`: stops an instance through its keeper, or cleans up where there is none any more."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from launcher.errors import DeadlineError, DeployError, PreconditionError
from launcher.instance import last_word, survivors
from launcher.instance.payloads import Down
from launcher.instance.remains import down_result, down_without_keeper
from launcher.instance.store import InstanceDir, Lock, make_folder, unknown, view
from launcher.json_values import JsonObject, at, number_at, object_at
from launcher.keeper import engine_stop
from launcher.keeper.control import Client
from launcher.keeper.identity import send
from launcher.keeper.state import DamagedState
from launcher.lifecycle import FINAL, InstanceState
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


def down(instance: InstanceDir, *, drain: float | None = None) -> Result[Down]:
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
                absent = InstanceState.ABSENT
                data = Down(absent, absent, note=unknown(instance.name))
                return Result("down", data, instance.name)
            make_folder(instance)  # for the record of what is cleaned up now
        lock = take_if_free(instance)
        if lock is not None:
            try:
                return down_without_keeper(instance, started)
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


def _signal_keeper(
    instance: InstanceDir, started: float, drain: float | None
) -> Result[Down] | None:
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
    return down_result(instance, was, state, started)


def _down_with_keeper(
    instance: InstanceDir, started: float, drain: float | None
) -> Result[Down] | None:
    """Ask the keeper; None where none listens (yet)."""
    try:
        client = Client(instance.folder)
    except OSError:
        return None
    keeper = None
    final: JsonObject = {}
    try:
        # Before the stop: an engine may be gone so fast that the end would be missed.
        reported = object_at(client.request("follow"), "state")
        was = InstanceState.parse(reported.get("state", InstanceState.LOADING))
        keeper = _pidfd(at(reported, "keeper", "pid"))
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
        if last is not None:
            last_word.write(instance, last)  # unless the keeper did: its disk may be full
            return down_result(instance, was, last, started)
    # A keeper of an older release, or one that was killed on the way: look without it.
    try:
        state = instance.state()
    except DamagedState:
        state = None
    return None if state is None or state.live else down_result(instance, was, state, started)


def end_drain(instance: InstanceDir, reason: str) -> None:
    """Of a stop that is under way: running requests get no more time. Nothing where it has ended.

    `reason` becomes part of the history.
    """
    with contextlib.suppress(OSError), contextlib.closing(Client(instance.folder)) as client:
        client.request("stop", reason=reason, drain=0)


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


def _deadline_of(answer: JsonObject) -> float | None:
    """The seconds that the keeper says its stop may take; None of an older keeper, or nonsense."""
    seconds = number_at(answer, "deadline")
    return float(seconds) if seconds is not None and 0 < seconds < LONGEST_STOP else None


def _limit(instance: InstanceDir, drain: float | None) -> float:
    """The same of a keeper that does not tell: one of an older release, or without a socket."""
    try:
        return engine_stop.longest_stop(instance.plan().stop, drain) + engine_stop.MARGIN
    except DeployError:
        return UNKNOWN_PLAN
