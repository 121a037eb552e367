"""The failure rules of the engines, read from their data files.

Every engine keeps `data/failures.json` in its folder; what can happen to any process is in
`launcher/diagnose/data/common.json`. The files have one form, explained in their own `fields`.
Stdlib only: a diagnosis is made inside the keeper, which lives for months.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from launcher.plan.model import FailureRule

COMMON = "common"
_ENGINES = Path(__file__).resolve().parent
_COMMON_FILE = _ENGINES.parent / "diagnose" / "data" / "common.json"


@dataclass(frozen=True)
class RuleEntry:
    """One rule as recorded, with what only its page needs.

    `kind` is failure, summary, warning, request, noise or symptom. `pattern` is None for symptoms:
    they show by what does not happen. `releases` are the release lines in which the text exists
    (empty: any). `sample` is a line the pattern matches, `before` what can be checked before a
    start, `origin` where the text or the report comes from.
    `consequence`: it often follows another failure, see `FailureRule`. `health_status`: the status
    of the health answer that shows it, where that answer has no text to match.
    """

    id: str
    kind: Literal["failure", "summary", "warning", "request", "noise", "symptom"]
    pattern: str | None
    cause: str
    remedy: str
    when: str
    fatal: bool
    retry: bool
    exit_code: int | None
    phase: str
    where: str
    releases: tuple[str, ...]
    origin: tuple[str, ...]
    evidence: str
    before: str | None
    sample: str | None
    sources: tuple[str, ...] = ()
    consequence: bool = False
    health_status: int | None = None

    def rule(self) -> FailureRule:
        """The part of it that travels in a launch plan."""
        kind: Any = self.kind if self.kind in ("warning", "request") else "failure"
        when: Any = self.when
        return FailureRule(
            id=self.id,
            pattern=self.pattern or "",
            cause=self.cause,
            remedy=self.remedy,
            when=when,
            fatal=self.fatal,
            summary=self.kind == "summary",
            retry=self.retry,
            sources=self.sources,
            exit_code=self.exit_code,
            origin=", ".join(self.origin),
            kind=kind,
            consequence=self.consequence,
        )


@dataclass(frozen=True)
class RuleBook:
    """All rules of one engine (or of none: `common`), in the order in which they are tried.

    `start_marks` are patterns of a line that begins a new start in a log that is appended to;
    `private_logs` are globs of files that hold users' prompts or the environment: they are never
    read for a diagnosis. `logger_logs` are written by a logger only: in them a line without a
    head belongs to the record before it. `signs` are words by which a log is known as this
    engine's.
    """

    engine: str
    entries: tuple[RuleEntry, ...]
    start_marks: tuple[str, ...] = ()
    private_logs: tuple[str, ...] = ()
    logger_logs: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()

    def rules(self, line: str | None = None) -> tuple[FailureRule, ...]:
        """Rules with a pattern, for a launch plan.

        With a release `line` ("2.3"), texts that were gone before it are left out; texts of later
        releases stay, because patch releases carry fixes back.
        """
        return tuple(
            e.rule()
            for e in self.entries
            if e.pattern is not None
            and e.kind not in ("noise", "symptom")
            and (line is None or not e.releases or max(map(_number, e.releases)) >= _number(line))
        )

    def noise(self) -> tuple[str, ...]:
        """Patterns of lines that look bad and are harmless."""
        return tuple(e.pattern for e in self.entries if e.kind == "noise" and e.pattern)

    def symptoms(self) -> tuple[RuleEntry, ...]:
        """Failures that leave no line."""
        return tuple(e for e in self.entries if e.kind == "symptom")


@functools.cache
def book(engine: str) -> RuleBook:
    """The rules of `engine`, or the engine-independent ones (`common`).

    An engine of a third party without recorded rules gives an empty book.
    """
    path = _COMMON_FILE if engine == COMMON else _ENGINES / engine / "data" / "failures.json"
    if not path.is_file():
        return RuleBook(engine, ())
    data = json.loads(path.read_text(encoding="utf-8"))
    return RuleBook(
        engine,
        tuple(_entry(raw) for raw in data["rules"]),
        tuple(data.get("start_marks", ())),
        tuple(data.get("private_logs", ())),
        tuple(data.get("logger_logs", ())),
        tuple(data.get("signs", ())),
    )


def engines_with_rules() -> tuple[str, ...]:
    """Every book there is, `common` last."""
    names = sorted(p.parent.parent.name for p in _ENGINES.glob("*/data/failures.json"))
    return (*names, COMMON)


def find(rule_id: str) -> tuple[str, RuleEntry] | None:
    """The entry called `rule_id` and the book it is in; case does not matter."""
    upper_id = rule_id.upper()
    for engine in engines_with_rules():
        for entry in book(engine).entries:
            if entry.id == upper_id:
                return engine, entry
    return None


def failure_rules(engine: str, line: str | None = None) -> tuple[FailureRule, ...]:
    """What goes into a launch plan: the engine's own rules first, then those of any process."""
    return (*book(engine).rules(line), *book(COMMON).rules())


def noise(engine: str) -> tuple[str, ...]:
    """Harmless lines of `engine` and of any process."""
    return (*book(engine).noise(), *book(COMMON).noise())


def _entry(raw: Mapping[str, Any]) -> RuleEntry:
    return RuleEntry(
        id=raw["id"],
        kind=raw["kind"],
        pattern=raw["pattern"],
        cause=raw["cause"],
        remedy=raw["remedy"],
        when=raw["when"],
        fatal=raw["fatal"],
        retry=raw["retry"],
        exit_code=raw.get("exit_code"),
        phase=raw.get("phase") or "any",
        where=raw.get("where") or "any log",
        releases=tuple(raw.get("releases") or ()),
        origin=tuple(raw.get("origin") or ()),
        evidence=raw.get("evidence") or "code",
        before=raw.get("before"),
        sample=raw.get("sample"),
        sources=tuple(raw.get("sources") or ()),
        consequence=bool(raw.get("consequence")),
        health_status=raw.get("health_status"),
    )


def _number(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in line.split(".") if part.isdigit())
