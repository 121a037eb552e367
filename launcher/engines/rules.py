"""The failure rules of the engines, read from their data files.

Every engine keeps `failures.json` in its data folder (`Engine.data`); what can happen to any
process is in `launcher/diagnose/data/common.json`. The files have one form, explained in their own
`fields`.
Stdlib only: a diagnosis is made inside the keeper, which lives for months.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from launcher.json_values import JsonObject, integer_at, list_at, text_at, texts_at
from launcher.plan.model import FailureRule, HealthRule, LogRules, SymptomRule

COMMON = "common"
FAILURES = "failures.json"
RuleKind = Literal["failure", "summary", "warning", "request", "noise", "symptom"]
_KINDS: Mapping[str, Literal["warning", "request"]] = {"warning": "warning", "request": "request"}
_STATES: Mapping[str, Literal["loading", "ready", "any"]] = {
    "loading": "loading",
    "ready": "ready",
    "any": "any",
}
_ENGINES = Path(__file__).resolve().parent
_COMMON_FILE = _ENGINES.parent / "diagnose" / "data" / "common.json"


@dataclass(frozen=True)
class RuleEntry:
    """One rule as recorded, with what only its page needs.

    `kind` is failure, summary, warning, request, noise or symptom. `pattern` is None for symptoms:
    they show by what does not happen. `releases` are the release lines in which the text exists
    (empty: any). `sample` is a line the pattern matches. `near_miss` is a line that the same
    software prints, looks like the sample, and has another cause or none; `near_miss_expected` is
    what a diagnosis says of it: `healthy`, `unrecognised`, or the id of the right rule.
    `before` is what can be checked before a start, `origin` where the text or the report comes
    from.
    `specific`: the text names its cause, so that no other rule says more of the line or the moment.
    `consequence`: it often follows another failure, see `FailureRule`. `health_status`: the status
    of the health answer that shows it, where that answer has no text to match.
    """

    id: str
    kind: RuleKind
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
    near_miss: str | None = None
    near_miss_expected: str | None = None
    specific: bool = False
    consequence: bool = False
    health_status: int | None = None

    def rule(self) -> FailureRule:
        """The part of it that travels in a launch plan."""
        return FailureRule(
            id=self.id,
            pattern=self.pattern or "",
            cause=self.cause,
            remedy=self.remedy,
            when=_STATES[self.when],
            fatal=self.fatal,
            summary=self.kind == "summary",
            retry=self.retry,
            exit_code=self.exit_code,
            origin=", ".join(self.origin),
            kind=_KINDS.get(self.kind, "failure"),
            consequence=self.consequence,
        )


@dataclass(frozen=True)
class RuleBook:
    """All rules of one engine (or of none: `common`), in the order in which they are tried.

    `start_marks` are patterns of a line that begins a new start in a log that is appended to;
    `private_logs` are globs of files that hold users' prompts or the environment: they are never
    read for a diagnosis. `logger_logs` are written by a logger only: in them a line without a
    head belongs to the record before it. `ready_marks` are texts by which a server says that it
    has started: what stood before them did not keep it from that. `signs` are
    words by which a log is known as this engine's.
    """

    engine: str
    entries: tuple[RuleEntry, ...]
    start_marks: tuple[str, ...] = ()
    private_logs: tuple[str, ...] = ()
    logger_logs: tuple[str, ...] = ()
    ready_marks: tuple[str, ...] = ()
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

    def log_rules(self) -> LogRules:
        """How the engine's logs are read, for a launch plan."""
        return LogRules(
            self.private_logs,
            self.logger_logs,
            tuple(
                SymptomRule(e.id, e.cause, e.remedy, e.retry, e.where)
                for e in self.entries
                if e.kind == "symptom"
            ),
            tuple(HealthRule(e.health_status, e.rule()) for e in self.entries if e.health_status),
        )


@functools.cache
def book(engine: str) -> RuleBook:
    """The rules of an engine of ours, or the engine-independent ones (`common`).

    The book of a third party's engine is found by its `data` folder, see `book_of`.
    """
    if engine == COMMON:
        return _read(engine, _COMMON_FILE)
    return _read(engine, _ENGINES / engine.replace("-", "_") / "data" / FAILURES)


@functools.cache
def book_of(engine: str, data: Path | None) -> RuleBook:
    """The rules in the folder `data` of an engine; empty where there are none.

    Raises:
        ValueError: the file is not of the form that its `fields` explain.
    """
    return _read(engine, data / FAILURES) if data is not None else RuleBook(engine, ())


def _read(engine: str, path: Path) -> RuleBook:
    if not path.is_file():
        return RuleBook(engine, ())
    data: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    try:
        entries = tuple(_entry(raw) for raw in list_at(data, "rules") if isinstance(raw, Mapping))
    except KeyError as error:
        raise ValueError(f"{path}: a rule has no {error}") from None
    return RuleBook(
        engine,
        entries,
        texts_at(data, "start_marks"),
        texts_at(data, "private_logs"),
        texts_at(data, "logger_logs"),
        texts_at(data, "ready_marks"),
        texts_at(data, "signs"),
    )


@functools.cache
def general_ids() -> frozenset[str]:
    """The ids of the rules that fit any process and say less than an engine's own."""
    return frozenset(entry.id for entry in book(COMMON).entries if not entry.specific)


def failure_rules(own: RuleBook | str, line: str | None = None) -> tuple[FailureRule, ...]:
    """What goes into a launch plan: the engine's own rules, and those of any process."""
    return in_order([book(own) if isinstance(own, str) else own], line)


def in_order(books: Iterable[RuleBook], line: str | None = None) -> tuple[FailureRule, ...]:
    """The rules of `books` between the specific ones of any process and the general ones."""
    own = [rule for rule_book in books for rule in rule_book.rules(line)]
    common = book(COMMON).rules()
    general = general_ids()
    return (
        *(rule for rule in common if rule.id not in general),
        *own,
        *(rule for rule in common if rule.id in general),
    )


def noise(own: RuleBook | str) -> tuple[str, ...]:
    """Harmless lines of an engine and of any process."""
    own = book(own) if isinstance(own, str) else own
    return (*own.noise(), *book(COMMON).noise())


def _entry(raw: JsonObject) -> RuleEntry:
    return RuleEntry(
        id=_required(raw, "id"),
        kind=_kind(raw),
        pattern=_optional(raw, "pattern"),
        cause=_required(raw, "cause"),
        remedy=_required(raw, "remedy"),
        when=_required(raw, "when"),
        fatal=bool(raw["fatal"]),
        retry=bool(raw["retry"]),
        exit_code=integer_at(raw, "exit_code"),
        phase=text_at(raw, "phase") or "any",
        where=text_at(raw, "where") or "any log",
        releases=texts_at(raw, "releases"),
        origin=texts_at(raw, "origin"),
        evidence=text_at(raw, "evidence") or "code",
        before=_optional(raw, "before"),
        sample=_optional(raw, "sample"),
        near_miss=_optional(raw, "near_miss"),
        near_miss_expected=_optional(raw, "near_miss_expected"),
        specific=bool(raw.get("specific")),
        consequence=bool(raw.get("consequence")),
        health_status=integer_at(raw, "health_status"),
    )


def _kind(raw: JsonObject) -> RuleKind:
    kinds: dict[str, RuleKind] = {kind: kind for kind in get_args(RuleKind)}
    kind = kinds.get(_required(raw, "kind"))
    if kind is None:
        raise ValueError(f"{raw.get('id')}: kind is {raw['kind']!r}, not one of {', '.join(kinds)}")
    return kind


def _required(raw: JsonObject, key: str) -> str:
    value = raw[key]
    if not isinstance(value, str):
        raise ValueError(f"{raw.get('id')}: {key} is {value!r}, not a text")
    return value


def _optional(raw: JsonObject, key: str) -> str | None:
    return text_at(raw, key) or None


def _number(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in line.split(".") if part.isdigit())
