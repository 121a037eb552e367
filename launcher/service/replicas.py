"""Starts, proves and stops replicas: each is an instance like any other."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.interrupt import Interrupt
from launcher.instance.payloads import Up
from launcher.instance.store import instance_dir, view
from launcher.instance.teardown import down
from launcher.instance.up import Preflight, up
from launcher.json_values import JsonObject, at
from launcher.lifecycle import InstanceState
from launcher.profile.model import Profile
from launcher.result import Result
from launcher.service.failure import StepFailed

OnEvent = Callable[[JsonObject], None]

LISTENING = ("probe", "listening", "passed")
"""The event by which a keeper tells that its engine has opened its port."""


@dataclass(frozen=True)
class Launch:
    """One instance to start; `profile` makes its profile when it is its turn.

    `after` is the instance that has to listen before: its address is part of the profile.
    """

    name: str
    profile: Callable[[], Profile]
    after: str | None = None


@dataclass(frozen=True)
class Started:
    """How the start of one instance ended."""

    name: str
    result: Result[Up]


def start_together(
    launches: Sequence[Launch], on_event: OnEvent, preflight: Preflight
) -> list[Started]:
    """Bring instances up at the same time; returns when each is ready or has failed.

    Where one fails, the starts of the others are ended: the rollout goes back anyway. Events of the
    starts are passed on with the instance's name as `instance`.

    Raises:
        StepFailed: one of them did not get ready.
        KeyboardInterrupt: this command was interrupted; starts that were not ready are ended.
    """
    return _Together(launches, on_event, preflight).run()


class _Together:
    """Starts in threads of their own, which wait for each other where they have to."""

    def __init__(self, launches: Sequence[Launch], on_event: OnEvent, preflight: Preflight) -> None:
        self._launches = launches
        self._on_event = on_event
        self._preflight = preflight
        self._messages: queue.SimpleQueue[tuple[str, JsonObject | Started]] = queue.SimpleQueue()
        names = [launch.name for launch in launches]
        self._wakes = {name: os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for name in names}
        self._interrupts = {n: Interrupt(pipe[0], raises=False) for n, pipe in self._wakes.items()}
        self._listens = {name: threading.Event() for name in names}
        """Set once an instance listens, or when it is known that it never will."""
        self._given_up: set[str] = set()
        self._ended: dict[str, Started] = {}

    def run(self) -> list[Started]:
        """See `start_together`."""
        threads = [
            threading.Thread(
                target=self._start, args=(launch,), name=f"start {launch.name}", daemon=True
            )
            for launch in self._launches
        ]
        failed: Started | None = None
        interrupted: KeyboardInterrupt | None = None
        for thread in threads:
            thread.start()
        try:
            while len(self._ended) < len(self._launches):
                try:
                    name, message = self._messages.get()
                    if isinstance(message, Started):
                        self._ended[name] = message
                        if message.result.exit_code is not ExitCode.DONE and failed is None:
                            failed = message
                            self._end_others()
                    else:
                        self._on_event({**message, "instance": name})
                except KeyboardInterrupt as stopped:
                    interrupted = stopped
                    self._end_others()
        finally:
            for thread in threads:
                thread.join()
            for pipe in self._wakes.values():
                os.close(pipe[0])
                os.close(pipe[1])
        if interrupted is not None:
            raise interrupted
        if failed is not None:
            raise _failure(failed)
        return [self._ended[launch.name] for launch in self._launches]

    def _end_others(self) -> None:
        for name, interrupt in self._interrupts.items():
            if name not in self._ended:
                interrupt.number = interrupt.number or signal.SIGINT
                with contextlib.suppress(OSError):
                    os.write(self._wakes[name][1], b"\0")
        for listens in self._listens.values():
            listens.set()

    # -- in the threads -----------------------------------------------------------------------

    def _start(self, launch: Launch) -> None:
        name, interrupt = launch.name, self._interrupts[launch.name]
        result: Result[Up]
        try:
            if launch.after is not None and not self._is_due(launch.after, interrupt):
                problem = Problem("interrupted", f"{launch.after} did not start")
                result = Result("up", None, name, interrupt.exit_code, (problem,))
            else:
                result = up(
                    launch.profile(),
                    on_event=lambda event: self._heard(name, event),
                    preflight=self._preflight,
                    interrupt=interrupt,
                )
        except StepFailed as failed:
            result = Result("up", None, name, failed.exit_code, (failed.problem,))
        except DeployError as error:
            result = Result.from_error("up", error, name)
        except BaseException as error:  # a defect must not leave the rollout waiting
            problem = Problem("defect", f"the start of {name} failed unexpectedly: {error!r}")
            result = Result("up", None, name, ExitCode.DEFECT, (problem,))
        if result.exit_code is not ExitCode.DONE:
            self._given_up.add(name)
        self._messages.put((name, Started(name, result)))
        self._listens[name].set()

    def _is_due(self, before: str, interrupt: Interrupt) -> bool:
        """Wait until `before` listens; False where it ended first, or all are given up."""
        self._listens[before].wait()
        return not interrupt.number and before not in self._given_up

    def _heard(self, name: str, event: JsonObject) -> None:
        if (at(event, "event"), at(event, "name"), at(event, "verdict")) == LISTENING:
            self._listens[name].set()
        self._messages.put((name, event))


def _failure(started: Started) -> StepFailed:
    result = started.result
    problem = result.errors[0] if result.errors else Problem("failed", "the start failed")
    code = result.exit_code
    if code not in (ExitCode.PRECONDITION, ExitCode.USAGE, ExitCode.DEADLINE, ExitCode.DEFECT):
        code = ExitCode.DID_NOT_START
    message = f"{started.name} did not start: {problem.message}"
    remedy = problem.remedy or f"`ernie-deploy diagnose {started.name}`"
    return StepFailed(Problem(problem.code, message, problem.where, remedy), code)


def is_ready(name: str) -> bool:
    """True where the instance's keeper says that it is ready."""
    state, _, _ = view(instance_dir(name))
    return state == InstanceState.READY


def stop(name: str, drain: float | None = None) -> Problem | None:
    """Stop an instance; None where nothing of it is left, else what went wrong.

    `drain` in seconds replaces the profile's `stop.drain`.
    """
    try:
        result = down(instance_dir(name), drain=drain)
    except DeployError as error:
        return error.problems[0]
    if result.exit_code is ExitCode.DONE:
        return None
    reason = result.errors[0].message if result.errors else "something of it is left"
    return Problem("leftovers", f"{name}: {reason}", None, f"`ernie-deploy down {name}`")
