"""The outcome of a check: a verdict, findings and measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Verdict = Literal["pass", "fail", "inconclusive", "could not check"]
VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "inconclusive", "could not check")
KNOWN_DEVIATION = "known deviation"
"""What reports and counts call a failure that is known of the release."""


@dataclass(frozen=True)
class Finding:
    """One thing that was not as it should be.

    `code` is a stable word; deviations of an engine's release are recognised by it.
    """

    code: str
    expected: str
    actual: str

    def text(self) -> str:
        """The finding on one line."""
        return f"expected {self.expected}, got {self.actual}"


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


class CheckFacts(Protocol):
    """What a session and its judges must know of the check that runs, without its function."""

    @property
    def name(self) -> str:
        """The check's name."""

    @property
    def tags(self) -> frozenset[str]:
        """Its tags."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The capabilities that the server must have."""

    @property
    def kind(self) -> Literal["protocol", "skill"]:
        """`protocol` judges the server, `skill` the model behind it."""
