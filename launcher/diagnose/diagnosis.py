"""The answer of a diagnosis, and how it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from launcher.codec import written

_GROUP = re.compile(r"\{(\w+)\}")
_ABSENT = "\x00"
TEXT_LIMIT = 400
"""Characters quoted of one line."""


@dataclass(frozen=True)
class Evidence:
    """A line that shows something: file, line number from 1, text (redacted), epoch seconds."""

    file: str
    line: int
    text: str
    time: float | None = None


@dataclass(frozen=True)
class Finding:
    """A rule that matched, with its filled-in texts and the line that shows it."""

    rule_id: str = field(metadata=written("rule"))
    cause: str
    remedy: str
    retry: bool
    kind: str
    evidence: Evidence | None


@dataclass(frozen=True)
class Diagnosis:
    """The first cause that the logs show.

    `rule_id` is None where no rule fits; `first_errors` then holds the first error lines there
    are, and both are empty where the logs show nothing wrong. `retry`: starting again unchanged
    can help. `alternatives` are further rules that matched, in order. `noise` counts the harmless
    lines that were passed over.
    """

    rule_id: str | None = field(metadata=written("rule"))
    cause: str
    remedy: str
    retry: bool
    kind: str = ""
    evidence: Evidence | None = None
    alternatives: tuple[Finding, ...] = field(default=())
    first_errors: tuple[Evidence, ...] = ()
    files: int = 0
    size: int = field(default=0, metadata=written("bytes"))
    notes: tuple[str, ...] = ()

    @property
    def conclusive(self) -> bool:
        """True where a rule or at least an error line was found."""
        return self.rule_id is not None or bool(self.first_errors)

    @property
    def first(self) -> Finding | None:
        """The rule that is the first cause, as one among several; None where no rule fits."""
        if self.rule_id is None:
            return None
        return Finding(self.rule_id, self.cause, self.remedy, self.retry, self.kind, self.evidence)

    def with_first(self, first: Finding | None, alternatives: tuple[Finding, ...]) -> Diagnosis:
        """The same with another rule as its first cause, or with none."""
        if first is None:
            first = Finding("", "", "", False, "", None)
        return replace(
            self,
            rule_id=first.rule_id or None,
            cause=first.cause,
            remedy=first.remedy,
            retry=first.retry,
            kind=first.kind,
            evidence=first.evidence,
            alternatives=alternatives,
        )


@dataclass(frozen=True)
class LogDiagnosis:
    """`diagnose`: what the logs below `source` show."""

    diagnosis: Diagnosis = field(metadata=written(inline=True))
    source: str


def fill(text: str, groups: Mapping[str, str]) -> str:
    """`text` with `{name}` replaced by what the pattern caught.

    Not `str.format`: remedies quote JSON, whose braces are to stay. A group that did not take
    part in the match leaves nothing behind, not even empty brackets or a space before a colon.
    """
    # A pattern of several wordings names the same thing `have`, `have2`, `have3`.
    values = {re.sub(r"(?<=[a-z])\d$", "", name): value for name, value in groups.items() if value}
    values |= {name: value for name, value in groups.items() if value}
    filled = _GROUP.sub(lambda m: values.get(m[1]) or _ABSENT, text)
    filled = re.sub(rf" ?\([ {_ABSENT}]*\)", _ABSENT, filled)
    filled = re.sub(rf"(?: |(?<!{_ABSENT})){_ABSENT}+(?=:|$)", "", filled)
    return re.sub(r"  +", " ", filled.replace(_ABSENT, "")).strip()
