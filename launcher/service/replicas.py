"""Starts, proves and stops replicas: each is an instance like any other."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.interrupt import Interrupt
from launcher.instance.payloads import Up
from launcher.instance.store import instance_dir, view
from launcher.instance.teardown import down
from launcher.instance.up import Preflight, up
from launcher.json_values import JsonObject
from launcher.lifecycle import InstanceState
from launcher.profile.model import Profile
from launcher.result import Result
from launcher.service.failure import StepFailed

OnEvent = Callable[[JsonObject], None]


@dataclass(frozen=True)
class Started:
    """How the start of one instance ended."""

    name: str
    result: Result[Up]


def start_together(
    profiles: Sequence[Profile], on_event: OnEvent, preflight: Preflight
) -> list[Started]:
    """Bring instances up at the same time; returns when each is ready or has failed.

    Where one fails, the starts of the others are ended: the rollout goes back anyway. Events of the
    starts are passed on with the instance's name as `instance`.

    Raises:
        StepFailed: one of them did not get ready.
        KeyboardInterrupt: this command was interrupted; starts that were not ready are ended.
    """
    messages: queue.SimpleQueue[tuple[str, JsonObject | Started]] = queue.SimpleQueue()
    wakes = {profile.name: os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for profile in profiles}
    interrupts = {name: Interrupt(pipe[0], raises=False) for name, pipe in wakes.items()}
    threads = [
        threading.Thread(
            target=_start, args=(profile, interrupts[profile.name], preflight, messages),
            name=f"start {profile.name}", daemon=True,
        )
        for profile in profiles
    ]  # fmt: skip

    def end_others(number: int) -> None:
        for name, interrupt in interrupts.items():
            if name not in ended:
                interrupt.number = interrupt.number or number
                with contextlib.suppress(OSError):
                    os.write(wakes[name][1], b"\0")

    ended: dict[str, Started] = {}
    failed: Started | None = None
    interrupted: KeyboardInterrupt | None = None
    for thread in threads:
        thread.start()
    try:
        while len(ended) < len(profiles):
            try:
                name, message = messages.get()
                if isinstance(message, Started):
                    ended[name] = message
                    if message.result.exit_code is not ExitCode.DONE and failed is None:
                        failed = message
                        end_others(2)
                else:
                    on_event({**message, "instance": name})
            except KeyboardInterrupt as stopped:
                interrupted = stopped
                end_others(2)
    finally:
        for thread in threads:
            thread.join()
        for pipe in wakes.values():
            os.close(pipe[0])
            os.close(pipe[1])
    if interrupted is not None:
        raise interrupted
    if failed is not None:
        raise _failure(failed)
    return [ended[profile.name] for profile in profiles]


def _start(
    profile: Profile,
    interrupt: Interrupt,
    preflight: Preflight,
    messages: queue.SimpleQueue[tuple[str, JsonObject | Started]],
) -> None:
    name = profile.name
    result: Result[Up]
    try:
        result = up(
            profile,
            on_event=lambda event: messages.put((name, event)),
            preflight=preflight,
            interrupt=interrupt,
        )
    except DeployError as error:
        result = Result.from_error("up", error, name)
    except BaseException as error:  # a defect must not leave the rollout waiting
        problem = Problem("defect", f"the start of {name} failed unexpectedly: {error!r}")
        result = Result("up", None, name, ExitCode.DEFECT, (problem,))
    messages.put((name, Started(name, result)))


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
