"""Follows a start to its end: events as they come, interrupts as they are asked for."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from launcher.errors import ExitCode, Problem
from launcher.instance import last_word, start
from launcher.instance.interrupt import Interrupt
from launcher.instance.payloads import Ended, Serving, Up
from launcher.instance.store import InstanceDir, is_locked, view
from launcher.json_values import JsonObject, at, integer_at, number_at, object_at
from launcher.keeper.control import Client
from launcher.keeper.state import DamagedState, State, reported_state
from launcher.lifecycle import FINAL, LIVE, InstanceState
from launcher.result import Result

OnEvent = Callable[[JsonObject], None]

END_DEADLINE = 60.0
"""Seconds that a keeper which closed its socket gets to end."""
POLL = 0.02
"""Seconds between two looks at its lock: the kernel sends no event when an flock is released."""


def follow(
    instance: InstanceDir, on_event: OnEvent, interrupt: Interrupt, started: start.Started | None
) -> Result[Up]:
    """Pass events on until the start is decided.

    Who `started` it takes it down when interrupted; who merely watches (None) goes away.
    """
    following = _Following(instance, on_event, interrupt, started)
    result = None
    try:
        while result is None:
            result = following.once()
    finally:
        following.close()
        # Before ready the closed link alone takes the instance down; afterwards it has no effect.
        if started is not None:
            started.let_go(wait=result is None or result.exit_code is not ExitCode.DONE)
    return result


class _Following:
    def __init__(
        self,
        instance: InstanceDir,
        on_event: OnEvent,
        interrupt: Interrupt,
        started: start.Started | None,
    ) -> None:
        self._found = instance
        self._on_event: OnEvent | None = on_event
        self._interrupt = interrupt
        self._started = started
        self._asked = False
        self._seen = 0.0
        self._seen_before = 0.0
        self._told: JsonObject = {}
        self._keeper: int | None = None
        """Its pidfd, opened while it answers."""
        self._final: JsonObject | None = None
        """How it ended, as the keeper told it: it may be unable to write that down."""

    def once(self) -> Result[Up] | None:
        """Follow one connection to its end; None where another one has to be made."""
        self._seen_before = self._seen
        try:
            client = Client(self._found.folder)
        except OSError:
            return self._without_keeper()
        try:
            with contextlib.suppress(ConnectionError):
                self._told = object_at(client.request("follow"), "state")
                self._watch(integer_at(self._told, "keeper", "pid"))
                if at(self._told, "state") == InstanceState.READY and self._seen:
                    return ready_result(self._found, read_reported(self._told), already=False)
            for event in client.events(wake=self._interrupt.wake):
                if event is None:
                    if self._started is None:
                        return self._detached()
                    self._stop()
                elif (result := self._heard(event)) is not None:
                    return result
        except OSError:
            pass  # the keeper hangs, or was killed: its state says which
        finally:
            client.close()
        # It ended, or we were too slow a reader (a terminal that was halted) and it hung up.
        return self._without_keeper()

    def _watch(self, pid: int | None) -> None:
        if self._keeper is None and pid is not None:
            with contextlib.suppress(OSError):
                self._keeper = os.pidfd_open(pid)

    def close(self) -> None:
        """Close what was opened."""
        if self._keeper is not None:
            os.close(self._keeper)
            self._keeper = None

    def _heard(self, event: JsonObject) -> Result[Up] | None:
        moment, kind, state = (
            number_at(event, "time") or 0.0,
            at(event, "event"),
            at(event, "state"),
        )
        if moment < self._seen_before:
            return None  # told by an earlier connection
        self._seen = moment
        if kind in ("state", "restart"):
            self._final = event if state in FINAL else None
        if self._on_event is not None:
            try:
                self._on_event(event)
            except BrokenPipeError:
                # The reader of the progress is gone; the start goes on.
                self._on_event = None
        if kind == "state" and state == InstanceState.READY and not self._asked:
            return ready_result(self._found, self._state(), already=False)
        return None

    def _state(self) -> State | None:
        """As the keeper knows it: with a full disk the file may be old."""
        with contextlib.suppress(OSError):
            client = Client(self._found.folder)
            try:
                return read_reported(object_at(client.request("status"), "state"))
            finally:
                client.close()
        return None

    def _stop(self) -> None:
        self._asked = True
        with contextlib.suppress(OSError):
            client = Client(self._found.folder)
            try:
                client.request("stop", reason="interrupted", interrupt=True)
            finally:
                client.close()

    def _without_keeper(self) -> Result[Up] | None:
        """How it ended, as the keeper said last; None where it lives and can be followed again."""
        if self._final is not None and not self._listens():
            self._wait_for_end()
            return _ended(self._found, self._last_word(), self._interrupt)
        return self._without_last_word()

    def _listens(self) -> bool:
        """True while a keeper listens: it hung up on a slow reader, or starts the engine again."""
        try:
            Client(self._found.folder).close()
        except OSError:
            return False
        return True

    def _wait_for_end(self) -> None:
        """Until then the lock and the ports are not free."""
        if self._keeper is not None and is_locked(self._found.folder):
            poller = select.poll()
            poller.register(self._keeper, select.POLLIN)
            poller.poll(END_DEADLINE * 1000)

    def _without_last_word(self) -> Result[Up] | None:
        """What a keeper left that could not say how it ended: killed, or we were not connected."""
        end = time.monotonic() + END_DEADLINE
        while True:
            try:
                stored = self._found.state()
            except DamagedState:
                stored = None
            name = view(self._found)[0]
            if stored is not None and stored.state in FINAL and stored.token == self._token():
                if not is_locked(self._found.folder) or time.monotonic() > end:
                    return _ended(self._found, stored, self._interrupt)
            elif name in LIVE and time.monotonic() < end:
                with contextlib.suppress(OSError):
                    Client(self._found.folder).close()
                    return None
            else:
                return _ended(self._found, self._last_word(), self._interrupt)
            time.sleep(POLL)

    def _last_word(self) -> State | None:
        """The end as it was told; written down for those who ask later, where that is possible."""
        reported, final = self._told, self._final
        if final is None and self._started is not None:
            reported = self._started.last_word()
            final = reported if at(reported, "state") in FINAL else None
        if final is None:
            return None
        last = last_word.from_event({**reported, "instance": self._found.name}, final)
        if last is not None:
            last_word.write(self._found, last)
        return last

    def _token(self) -> str:
        return self._found.token()

    def _detached(self) -> Result[Up]:
        problem = Problem(
            "detached", f"stopped watching; the start of {self._found.name} goes on", None,
            f"`ernie-deploy status {self._found.name}`",
        )  # fmt: skip
        data, code = Up(detached=True), self._interrupt.exit_code
        return Result("up", data, self._found.name, code, (problem,))


def read_reported(reported: JsonObject) -> State | None:
    """The state that a keeper reports; None where it cannot be read: another release's."""
    try:
        return reported_state(reported)
    except ValueError:
        return None


def ready_result(instance: InstanceDir, state: State | None, *, already: bool) -> Result[Up]:
    """The result of an `up` whose instance is ready; `state` None reads the stored one."""
    if state is None:
        with contextlib.suppress(DamagedState):
            state = instance.state()
    serving = Serving(already)
    if state is not None:
        serving = Serving(
            already=already,
            base_url=state.base_url,
            ports=state.ports,
            seconds=round((state.ready_at or 0) - state.started_at, 3),
            evidence=state.evidence,
            pid=state.engine.pid if state.engine else None,
        )
    return Result("up", Up(InstanceState.READY, serving), instance.name)


def _ended(instance: InstanceDir, final: State | None, interrupt: Interrupt) -> Result[Up]:
    """The result of a start that did not get ready."""
    if final is None:
        problem = Problem(
            "keeper-lost", f"the keeper of {instance.name} ended in the middle of the start",
            str(instance.logs / "keeper.log"), f"`ernie-deploy down {instance.name}` cleans up",
        )  # fmt: skip
        data = Up(InstanceState.LOST)
        return Result("up", data, instance.name, ExitCode.DID_NOT_START, (problem,))
    data = Up(final.state, ended=Ended(final.receipt))
    if final.state == InstanceState.STOPPED:
        code = interrupt.exit_code
        problem = Problem("interrupted", "the start was interrupted; what it had started is gone")
        if interrupt.number is None:
            code = ExitCode.DID_NOT_START
            problem = Problem("stopped", "the start was stopped by a `down`")
        return Result("up", data, instance.name, code, (problem,))
    error = final.error or Problem("failed", "the start failed")
    problem = Problem(error.code, error.message, error.where, error.remedy)
    code = ExitCode(final.exit_code or ExitCode.DID_NOT_START)
    return Result("up", data, instance.name, code, (problem,))
