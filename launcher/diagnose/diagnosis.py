"""The answer of a diagnosis, and how it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.json_values import JsonValue

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

    def to_json(self) -> dict[str, JsonValue]:
        """Plain JSON types."""
        return {"file": self.file, "line": self.line, "text": self.text, "time": self.time}


@dataclass(frozen=True)
class Finding:
    """A rule that matched, with its filled-in texts and the line that shows it."""

    rule_id: str
    cause: str
    remedy: str
    retry: bool
    kind: str
    evidence: Evidence | None

    def to_json(self) -> dict[str, JsonValue]:
        """Plain JSON types."""
        return {
            "rule": self.rule_id,
            "kind": self.kind,
            "cause": self.cause,
            "remedy": self.remedy,
            "retry": self.retry,
            "evidence": self.evidence.to_json() if self.evidence else None,
        }


@dataclass(frozen=True)
class Diagnosis:
    """The first cause that the logs show.

    `rule_id` is None where no rule fits; `first_errors` then holds the first error lines there
    are, and both are empty where the logs show nothing wrong. `retry`: starting again unchanged
    can help. `alternatives` are further rules that matched, in order. `noise` counts the harmless
    lines that were passed over.
    """

    rule_id: str | None
    cause: str
    remedy: str
    retry: bool
    kind: str = ""
    evidence: Evidence | None = None
    alternatives: tuple[Finding, ...] = ()
    first_errors: tuple[Evidence, ...] = ()
    files: int = 0
    size: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def conclusive(self) -> bool:
        """True where a rule or at least an error line was found."""
        return self.rule_id is not None or bool(self.first_errors)

    def to_json(self) -> dict[str, JsonValue]:
        """Plain JSON types."""
        return {
            "rule": self.rule_id,
            "kind": self.kind,
            "cause": self.cause,
            "remedy": self.remedy,
            "retry": self.retry,
            "evidence": self.evidence.to_json() if self.evidence else None,
            "others": [alternative.to_json() for alternative in self.alternatives],
            "first_errors": [line.to_json() for line in self.first_errors],
            "files": self.files,
            "bytes": self.size,
            "notes": list(self.notes),
        }


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
