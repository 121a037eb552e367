"""What the server of a ready instance answers now, asked from outside its keeper.

`status` asks GET /health, and `diagnose` a short completion too: a FastDeploy whose worker hangs
answers 200 for 30 s more, and one whose queues are mixed up with another's for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from launcher.errors import DeployError
from launcher.json_values import JsonObject, at, integer_at, list_at, object_at, text_at

if TYPE_CHECKING:
    from launcher.host.sockets import Listeners
    from launcher.keeper.claim import ProcessClaim
    from launcher.plan.model import LaunchPlan

HEALTH_TIMEOUT = 2.0
"""Seconds a ready server gets to answer its health question."""
COMPLETION_TIMEOUT = 20.0
"""Seconds a ready server gets for a short completion; `health.probe-timeout` where that is less."""


@dataclass(frozen=True)
class Health:
    """One answer: `well` None where it could not be asked, or says nothing about the server.

    `status` and `body` are those of the HTTP answer, where there was one.
    """

    well: bool | None
    message: str
    status: int | None = None
    body: str = ""
    remedy: str | None = None


class _Question(NamedTuple):
    address: str
    health_path: str
    health_minimum: Mapping[str, int]


def ask_health(
    plan: JsonObject,
    pids: Iterable[int],
    keeper: int | None,
    timeout: float,
    listeners: Listeners | None = None,
) -> Health:
    """Who holds the API port, and what GET /health answers there.

    `plan` is the launch plan as plain JSON; `pids` are the recorded processes of the instance,
    `keeper` the pid whose descendants are looked at where none of those holds the port.
    `listeners` are shared with other questions of the same moment.
    """
    from launcher.probe.readiness import ask_paused, health

    try:
        readiness = object_at(plan, "readiness")
        uses = [use for use in list_at(plan, "ports") if at(use, "name") == at(readiness, "port")]
        port = integer_at(uses, 0, "number")
        address, path = text_at(readiness, "address"), text_at(readiness, "health_path")
        health_port, where = port, text_at(readiness, "health_port")
        for use in list_at(plan, "ports"):
            if where and at(use, "name") == where:
                health_port, address = integer_at(use, "number"), text_at(use, "address")
        if port is None or health_port is None or not address or not path:
            raise ValueError("its plan has no health question")
        least = object_at(readiness, "health_minimum")
        minimum = {key: number for key in least if (number := integer_at(least, key)) is not None}
        question = _Question(address, path, minimum)
        stranger = _other_holder(port, list(pids), keeper, listeners)
        if stranger is not None:
            return Health(False, f"port {port} is held by another process, {stranger}")
        rung = health(question, health_port, timeout=timeout)
        paused_path = text_at(readiness, "paused_path")
        if rung.verdict == "passed" and paused_path:
            rung_paused = ask_paused(
                question.address, port, paused_path, _known_key(plan), timeout=timeout
            )
            if rung_paused.code == "engine-paused":
                return Health(
                    False,
                    rung_paused.message,
                    rung.evidence.get("status"),
                    remedy=rung_paused.remedy,
                )
    except (OSError, ValueError) as error:
        return Health(False, f"its server cannot be asked: {error!r}")
    status, body = rung.evidence.get("status"), rung.evidence.get("body", "")
    return Health(rung.verdict == "passed", rung.message, status, body)


def with_stopped(answered: Health, processes: Iterable[ProcessClaim]) -> Health:
    """`answered`, and whether a process of the server is stopped by SIGSTOP: then it is not well.

    A FastDeploy whose worker stands still goes on answering 200 for 30 s.
    """
    from launcher.host.processes import command_line, look
    from launcher.keeper.command_line import program

    stopped = []
    for recorded in processes:
        now = look(recorded.pid)
        if now is not None and now.start == recorded.start and now.state == "T":
            stopped.append(now)
    if not stopped:
        return answered
    names = ", ".join(f"{p.pid} ({program(command_line(p.pid), p.name)})" for p in stopped)
    message = f"{answered.message}; stopped by a signal (SIGSTOP): {names}"
    pids = " ".join(str(p.pid) for p in stopped)
    remedy = f"`kill -CONT {pids}` lets it continue; find who stopped it"
    return replace(answered, well=False, message=message, remedy=remedy)


def ask_completion(plan: LaunchPlan) -> Health:
    """What a short completion brings, with a deadline of its own."""
    from launcher.probe.readiness import completion

    readiness = plan.readiness
    if not readiness.completion:
        return Health(None, "its server makes no completions")
    try:
        key = _key(plan)
    except DeployError as error:
        return Health(None, f"no completion was asked for: {error}")
    seconds = min(readiness.probe_timeout, COMPLETION_TIMEOUT)
    bounded = replace(plan, readiness=replace(readiness, probe_timeout=seconds))
    rung = completion(bounded, key)
    status = rung.evidence.get("status")
    if rung.code == "completion-timeout":
        return Health(
            False,
            f"GET {readiness.health_path} answered 200, but POST {readiness.completion_path} timed"
            f" out after {seconds:g} s",
        )
    summary = f"POST {readiness.completion_path}: {rung.message}"
    # It answers: with another key it would do so with text, and a busy one a little later.
    answers = rung.code == "key-refused" or status == 429
    return Health(rung.verdict == "passed" or (None if answers else False), summary, status)


def _known_key(plan: JsonObject) -> str | None:
    """The API key of a plan in plain JSON, None where it has none or it cannot be had here."""
    from launcher.profile.secrets import resolve

    name = text_at(plan, "readiness", "auth_secret")
    reference = text_at(plan, "secrets", name)
    if not reference or reference.startswith("cmd:"):
        return None
    try:
        return resolve(reference)
    except DeployError:
        return None


def _key(plan: LaunchPlan) -> str | None:
    """The API key of the plan.

    Raises:
        DeployError: it cannot be resolved here, or only by a command, which may ask a person.
    """
    from launcher.errors import PreconditionError
    from launcher.profile.secrets import resolve

    name = plan.readiness.auth_secret
    if name is None or name not in plan.secrets:
        return None
    if plan.secrets[name].startswith("cmd:"):
        raise PreconditionError.of("missing-secret", "its API key comes from a command")
    return resolve(plan.secrets[name])


def _other_holder(
    port: int, pids: list[int], keeper: int | None, listeners: Listeners | None
) -> str | None:
    """Who listens on `port` where no process of the instance does; None where no other does."""
    from launcher.host.processes import descendants, look
    from launcher.host.sockets import Listeners, describe_holder, holder

    sockets = (listeners or Listeners()).on(port)
    if not sockets or any(holder(one.inode, pids) is not None for one in sockets):
        return None
    # A worker that was booted a moment ago is not recorded yet.
    root = look(keeper) if keeper is not None else None
    below = [process.pid for process in descendants(root)] if root is not None else []
    if any(holder(one.inode, below) is not None for one in sockets):
        return None
    return describe_holder(port)
