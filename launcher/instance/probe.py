"""`probe`: one question to an instance's keeper, as an exec probe asks it."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors import DeadlineError, ExitCode, PreconditionError, Problem
from launcher.instance.store import InstanceDir, view
from launcher.json_values import JsonObject, object_at, text_at
from launcher.result import Result

TIMEOUT = 2.0
"""Seconds that a keeper gets by default; it answers within milliseconds."""
SHORTEST, LONGEST = 0.01, 3600.0
"""Seconds that may be asked for."""


@dataclass(frozen=True)
class ProbeAnswer:
    """`probe`: which question, whether it was answered with yes, and the reason on one line."""

    probe: str
    passed: bool
    reason: str


def probe(instance: InstanceDir, kind: str, timeout: float = TIMEOUT) -> Result[ProbeAnswer]:
    """Ask the keeper whether the instance is `kind`: live, ready or (over its) startup.

    Raises:
        PreconditionError: no keeper runs.
        DeadlineError: it did not answer within `timeout` seconds.
    """
    passed, reason = _ask(instance, kind, timeout)
    answer = ProbeAnswer(kind, passed, reason)
    if passed:
        return Result("probe", answer, instance.name)
    problem = Problem("probe-negative", f"{instance.name}: {reason}")
    return Result("probe", answer, instance.name, ExitCode.NEGATIVE, (problem,))


def _ask(instance: InstanceDir, kind: str, timeout: float) -> tuple[bool, str]:
    from launcher.keeper.control import Client

    try:
        client = Client(instance.folder, timeout)
        try:
            answer = client.request("probe", kind=kind)
            if answer.get("ok") is not True:  # of a release before there were probes
                return _judge(kind, object_at(client.request("status"), "state"))
            return answer.get("passed") is True, text_at(answer, "reason")
        finally:
            client.close()
    except TimeoutError:
        raise DeadlineError.of(
            "keeper-timeout",
            f"the keeper of {instance.name} did not answer within {timeout:g} s",
            str(instance.folder),
            f"`ernie-deploy status {instance.name}` says more",
        ) from None
    except (OSError, ValueError):
        state, _, note = view(instance)
        raise PreconditionError.of(
            "no-keeper", f"{instance.name} is {state}: {note or 'no keeper runs'}",
            str(instance.folder), "`ernie-deploy up PROFILE` starts it",
        ) from None  # fmt: skip


def _judge(kind: str, reported: JsonObject) -> tuple[bool, str]:
    from launcher.keeper.admin.probes import PROBES
    from launcher.keeper.state import reported_state

    state = reported_state(reported)
    lives = state.engine is not None and state.engine_exit is None
    answer = PROBES[kind](state, lives)
    return answer.ok, answer.reason
