"""What a check is: a name, a purpose, what it needs, and one small function.

Checks live in `launcher/smoke/checks/`, register themselves with `@check` and get a `Session`.
Third parties add theirs through the entry-point group `ernie_deploy.smoke_checks`; the object
named there is a `Check` or an iterable of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from launcher.errors import PreconditionError

if TYPE_CHECKING:
    from launcher.smoke.session import Session

Verdict = Literal["pass", "fail", "inconclusive", "could not check"]
VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "inconclusive", "could not check")

TAGS: Mapping[str, str] = {
    "quick": "a few generations' time in all: the gate of an `up` or a rollout",
    "full": "everything",
    "tools": "tool calls",
    "reasoning": "thinking and its split from the answer",
    "long": "long contexts and long answers",
    "load": "many requests at once",
    "security": "keys and hostile input",
    "sampling": "temperature, seed, penalties and what else decides a draw",
    "dialect": "Anthropic's dialect",
    "language": "Chinese, emoji and other text beyond ASCII",
}

ENTRY_POINT_GROUP = "ernie_deploy.smoke_checks"
MODULES = (
    "basic",
    "belonging",
    "stops",
    "streaming",
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
    "errors",
    "server",
    "anthropic",
    "messages_stream",
    "answers",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was not as it should be.

    `code` is a stable word; deviations of an engine's release are recognised by it.
    """

    code: str
    expected: str
    got: str

    def text(self) -> str:
        """The finding on one line."""
        return f"expected {self.expected}, got {self.got}"


@dataclass(frozen=True)
class Outcome:
    """A check's answer: the verdict, one sentence, what was wrong, what was measured.

    `measures` are numbers with their unit in the name (`first_token_seconds`).
    """

    verdict: Verdict
    message: str
    findings: tuple[Finding, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


class Stop(Exception):  # noqa: N818 - it ends a check with any verdict, it is not always an error
    """Ends a check at once with an outcome."""

    def __init__(self, outcome: Outcome) -> None:
        """Carry the outcome to the runner."""
        super().__init__(outcome.message)
        self.outcome = outcome


def passed(message: str, **measures: float) -> Outcome:
    """Everything was as it should be; `message` says what was seen."""
    return Outcome("pass", message, measures=measures)


def inconclusive(message: str) -> Stop:
    """The answer allows no verdict (raise it)."""
    return Stop(Outcome("inconclusive", message))


def could_not_check(message: str) -> Stop:
    """The check does not apply to this server or could not be carried out (raise it)."""
    return Stop(Outcome("could not check", message))


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
        PreconditionError: an entry point cannot be loaded or is no check.
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
