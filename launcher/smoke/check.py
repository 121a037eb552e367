"""What a check is: a name, a purpose, what it needs, and one small function.

Checks live in `launcher/smoke/checks/`, register themselves with `@check` and get a `Session`.
Third parties add theirs through the entry-point group `ernie_deploy.smoke_checks`; the object
named there is a `Check` or an iterable of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from launcher.errors import PreconditionError
from launcher.smoke.outcome import (
    VERDICTS,
    Finding,
    Outcome,
    Stop,
    Verdict,
    could_not_check,
    inconclusive,
    passed,
)
from launcher.smoke.session import Session
from launcher.smoke.tags import TAGS

__all__ = [
    "TAGS",
    "VERDICTS",
    "Check",
    "Finding",
    "Outcome",
    "Session",
    "Stop",
    "Verdict",
    "all_checks",
    "check",
    "could_not_check",
    "inconclusive",
    "passed",
]
"""What the author of a check needs, in one import."""

ENTRY_POINT_GROUP = "ernie_deploy.smoke_checks"
MODULES = (
    "basic",
    "belonging",
    "stops",
    "streaming",
    "stream_timing",
    "stream_shape",
    "tools",
    "tool_choice",
    "tool_arguments",
    "reasoning",
    "turns",
    "structured",
    "sampling",
    "greedy",
    "logprobs",
    "language",
    "long",
    "load",
    "security",
    "vision",
    "errors",
    "server",
    "anthropic",
    "messages_stream",
    "answers",
)


@dataclass(frozen=True)
class Check:
    """One question asked of a server.

    `needs` are capabilities (`launcher.engines.base.CAPABILITIES`). `kind`: `protocol` judges the
    server, `skill` the model behind it. `disturbs`: must run alone, because it loads the server or
    is spoilt by load. `via`: `client` checks are asked through every client, `http` checks need
    the bare wire and are asked once.
    """

    name: str
    purpose: str
    function: Callable[[Session], Outcome]
    tags: frozenset[str] = frozenset({"full"})
    needs: tuple[str, ...] = ()
    kind: Literal["protocol", "skill"] = "protocol"
    disturbs: bool = False
    via: Literal["client", "http"] = "client"


REGISTRY: dict[str, Check] = {}


def check(
    name: str,
    purpose: str,
    *,
    tags: str = "",
    needs: str = "",
    kind: Literal["protocol", "skill"] = "protocol",
    disturbs: bool = False,
    via: Literal["client", "http"] = "client",
) -> Callable[[Callable[[Session], Outcome]], Callable[[Session], Outcome]]:
    """Register a function as a check; `tags` and `needs` are words separated by blanks."""

    def register(function: Callable[[Session], Outcome]) -> Callable[[Session], Outcome]:
        tag_set = frozenset(tags.split()) | {"full"}
        new_check = Check(
            name, purpose, function, tag_set, tuple(needs.split()), kind, disturbs, via
        )
        REGISTRY[name] = new_check
        return function

    return register


def all_checks() -> tuple[Check, ...]:
    """Every check, ours in the order of the modules, then those of entry points.

    Raises:
        PreconditionError: an entry point cannot be loaded or is not a check.
    """
    for module in MODULES:
        importlib.import_module(f"launcher.smoke.checks.{module}")
    return (*REGISTRY.values(), *_third_party())


def _third_party() -> list[Check]:
    checks: list[Check] = []
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = point.load()
        except Exception as error:
            raise PreconditionError.of(
                "bad-entry-point",
                f"the smoke check {point.name!r} cannot be loaded: {type(error).__name__}: {error}",
                f"entry point {ENTRY_POINT_GROUP}: {point.value}",
            ) from error
        loaded_checks = loaded if isinstance(loaded, Iterable) else [loaded]
        for one in loaded_checks:
            if not isinstance(one, Check):
                raise PreconditionError.of(
                    "bad-entry-point",
                    f"{point.value} is not a launcher.smoke.check.Check",
                    f"entry point {ENTRY_POINT_GROUP}: {point.name}",
                )
            checks.append(one)
    return checks
