"""From log files and rules to the first cause.

The order of the answers: failures before warnings before refused requests before summaries.
Among failures the earliest incident wins, because everything later may be its consequence;
within one incident (a few seconds) an engine's own rule says more than one that fits any process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.diagnose.diagnosis import TEXT_LIMIT, Diagnosis, Evidence, Finding, fill
from launcher.diagnose.errors import first_errors
from launcher.diagnose.exits import EXIT_RULES
from launcher.diagnose.lines import redact
from launcher.diagnose.matching import (
    Hit,
    Matcher,
    Span,
    chatter,
    compile_rules,
    span_of,
    time_near,
)
from launcher.diagnose.sources import LogFile, contents, is_binary, log_file, ready_at
from launcher.engines.rules import general_ids
from launcher.plan.model import FailureRule

INCIDENT = 5.0
"""Seconds within which lines belong to one incident: a traceback, and what dies of it."""

WARNED = ("WARNING", "WARN")

_RANK = {"failure": 0, "warning": 2, "request": 3}
_SUMMARY_RANK = 1


@dataclass(frozen=True)
class _Match:
    """A hit with all that decides its place."""

    rule: FailureRule
    order: int
    span: Span
    source: int
    hit: Hit
    evidence: Evidence

    @property
    def time(self) -> float:
        """When the line was written, as far as known."""
        return self.span.order

    @property
    def rank(self) -> int:
        return _SUMMARY_RANK if self.rule.summary else _RANK[self.rule.kind]

    @property
    def any_process(self) -> bool:
        """True for a rule of no engine that says less than an engine's own."""
        return self.rule.id in general_ids()


def diagnose(
    sources: Iterable[LogFile | Path],
    rules: Iterable[FailureRule],
    *,
    exit_code: int | None = None,
    state: str = "loading",
    noise: Iterable[str] = (),
    start_marks: Iterable[str] = (),
    ready_marks: Iterable[str] = (),
    since: float | None = None,
    served: float | None = None,
    symptoms: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Find the first cause in the files `sources`.

    `exit_code` is the server's as far as known (negative: a signal); `state` what it was when it
    failed. `start_marks` are patterns of lines that begin a new start: what is older than the last
    one is not looked at, nor what is older than `since` (epoch seconds). `ready_marks` are texts by
    which a server says that it has started: what a start complains of before the last of them, in
    the same file, was survived. Errors that no rule knows are shown only from `served` on, when it
    was proved to work in spite of them. `symptoms` says what was seen from outside (a symptom
    rule's texts); it only decides where no line does.
    """
    ordered = _prefer(tuple(rules), state)
    matcher, marks = compile_rules(ordered, noise), Matcher(tuple(start_marks))
    known_noise, ready = tuple(noise), tuple(mark.encode() for mark in ready_marks)
    files = [one if isinstance(one, LogFile) else log_file(one) for one in sources]

    def answer(*, logging_errors: bool) -> Diagnosis:
        reader = _Reader(matcher, ordered, since, marks, known_noise, served, ready, logging_errors)
        for index, file in enumerate(files):
            reader.read(index, file)
        return reader.conclude(exit_code, state, dict(symptoms or {}))

    result = answer(logging_errors=False)
    if any(rule.summary for rule in ordered if rule.id == result.rule_id):
        # The cause itself was not logged. A disk that is full explains that, and stands only in
        # what Python says of records that could not be written.
        second = answer(logging_errors=True)
        if not any(rule.summary for rule in ordered if rule.id == second.rule_id):
            return second
    return result


def _prefer(rules: tuple[FailureRule, ...], state: str) -> tuple[FailureRule, ...]:
    """Rules of the other state last, so that on one line the fitting one wins."""
    return tuple(sorted(rules, key=lambda rule: rule.when not in (state, "any")))


class _Reader:
    """Reads file after file and keeps what was found."""

    def __init__(
        self,
        matcher: Matcher,
        rules: tuple[FailureRule, ...],
        since: float | None,
        marks: Matcher,
        noise: tuple[str, ...],
        served: float | None,
        ready_marks: tuple[bytes, ...],
        logging_errors: bool,
    ) -> None:
        self.ready_marks = ready_marks
        self.logging_errors = logging_errors
        self.served = served
        self.matcher = matcher
        self.rules = rules
        self.since = since
        self.marks = marks
        self.noise = noise
        self.talkative = {i for i, rule in enumerate(rules) if rule.kind == "warning"}
        self.starts: dict[tuple[int, int], list[float]] = {}
        self.found: list[_Match] = []
        self.kept: list[LogFile] = []
        self.size = 0
        self.notes: list[str] = []
        self.binary: list[str] = []

    def read(self, index: int, source: LogFile) -> None:
        try:
            data, skipped = contents(source.path, source.length, logging_errors=self.logging_errors)
            modified = source.path.stat().st_mtime
        except OSError as error:
            self.notes.append(f"{source.name} was not read: {error.strerror}")
            return
        if is_binary(data):
            self.binary.append(source.name)
            return
        if skipped:
            self.notes.append(f"{source.name} is large: {skipped} lines in its middle were skipped")
        self.size += len(data)
        self.kept.append(source)
        for mark in self.marks.hits(data, talkative=range(100), limit=1_000):
            stamp = mark.line.time or time_near(data, mark.offset)
            if stamp is not None:
                self.starts.setdefault((index, mark.index), []).append(stamp)
        started = ready_at(data, self.ready_marks)
        taken: set[int] = set()
        for hit in self.matcher.hits(data, talkative=self.talkative):
            rule = self.rules[hit.index]
            # The patterns come in their order: the first that took a line has it.
            if hit.offset in taken:
                continue
            if hit.offset < started and rule.when == "loading":
                continue
            quoted = rule.kind != "warning" and chatter(hit, data, logger_only=not source.raw)
            if quoted:
                continue
            taken.add(hit.offset)
            span = span_of(hit.line, data, hit.offset, modified)
            stamp = span.text
            number = data.count(b"\n", 0, hit.offset) + 1
            text = redact(hit.content.strip())[:TEXT_LIMIT]
            evidence = Evidence(source.name, number, text, stamp)
            self.found.append(_Match(rule, hit.index, span, index, hit, evidence))

    def conclude(self, exit_code: int | None, state: str, symptoms: dict[str, str]) -> Diagnosis:
        if self.binary:
            note = f"binary files are not read ({some(self.binary)})"
            self.notes.append(note)
        floor, several = self._floor()
        fresh = [f for f in self.found if f.span.may_be_since(floor, several=several)]
        fresh.sort(key=_sort_key)
        causes = [f for f in fresh if f.rank == 0]
        first = _first_incident(causes) if causes else None
        if first is None and exit_code is not None and exit_code in EXIT_RULES:
            exit_rule = {rule.id: rule for rule in self.rules}.get(EXIT_RULES[exit_code])
            if exit_rule:
                return self._by_exit(exit_rule, exit_code, fresh)
        if first is None and symptoms:
            return self._by_symptom(symptoms, fresh)
        if first is None and fresh:
            first = fresh[0]
        if first is None:
            return self._unknown(fresh, floor, exit_code, state)
        finding = _finding(first)
        alternatives = tuple(_finding(f) for f in _once(fresh, first))
        return Diagnosis(
            finding.rule_id,
            finding.cause,
            finding.remedy,
            finding.retry,
            finding.kind,
            finding.evidence,
            alternatives,
            # What a summary points to may be an error that no rule knows.
            self._errors(floor) if first.rule.summary else (),
            files=len(self.kept),
            size=self.size,
            notes=tuple(self.notes),
        )

    def _floor(self) -> tuple[float, bool]:
        """When the last start began, and whether the logs hold earlier ones too.

        With one start in the logs nothing is too old, not even what came before its mark.
        """
        several = any(len(times) > 1 for times in self.starts.values())
        last = max((max(times) for times in self.starts.values()), default=0.0)
        return max(self.since or 0.0, last if several else 0.0), several

    def _by_exit(self, rule: FailureRule, code: int, fresh: list[_Match]) -> Diagnosis:
        return Diagnosis(
            rule.id,
            fill(rule.cause, {}),
            fill(rule.remedy, {}),
            rule.retry,
            "failure",
            Evidence("exit code", 0, f"the process ended with exit code {code}"),
            tuple(_finding(f) for f in _once(fresh, None)),
            files=len(self.kept),
            size=self.size,
            notes=tuple(self.notes),
        )

    def _by_symptom(self, symptoms: dict[str, str], fresh: list[_Match]) -> Diagnosis:
        rule_id = symptoms["rule"]
        return Diagnosis(
            rule_id,
            symptoms["cause"],
            symptoms["remedy"],
            symptoms.get("retry") == "yes",
            "symptom",
            Evidence("no line", 0, symptoms["seen"]),
            tuple(_finding(f) for f in _once(fresh, None)),
            files=len(self.kept),
            size=self.size,
            notes=tuple(self.notes),
        )

    def _errors(self, floor: float) -> tuple[Evidence, ...]:
        _, several = self._floor()
        if self.served is not None:
            floor, several = max(floor, self.served), True
        return first_errors(
            self.kept, self.matcher, floor, several=several, ready_marks=self.ready_marks
        )

    def _unknown(
        self, fresh: list[_Match], floor: float, exit_code: int | None, state: str
    ) -> Diagnosis:
        errors = self._errors(floor)
        code = "" if exit_code is None else f" (exit code {exit_code})"
        if errors:
            cause = f"no rule fits{code}; these are the first errors in the logs"
        elif exit_code is not None:
            cause = f"the server ended{code} and its logs hold no error line"
        else:
            cause = "the logs show nothing wrong"
        remedy = "read the log around the first of them; `ernie-deploy logs NAME`" if errors else ""
        return Diagnosis(
            None,
            cause,
            remedy,
            # An unknown end of a server that worked may be a passing one; a start that failed for
            # an unknown reason will fail again.
            state == "ready" and (exit_code is not None or bool(errors)),
            alternatives=tuple(_finding(f) for f in _once(fresh, None)),
            first_errors=errors,
            files=len(self.kept),
            size=self.size,
            notes=tuple(self.notes),
        )


def _sort_key(match: _Match) -> tuple[float, ...]:
    """The place among all: by rank, then the earliest; of summaries the most telling."""
    order = match.order if match.rule.summary else 0
    return (match.rank, order, match.time, match.source, match.hit.offset)


def _first_incident(causes: list[_Match]) -> _Match:
    """Of the earliest few seconds the most telling cause; `causes` are sorted by time."""
    # A warning was survived: where there is an error too, that is why it ended.
    causes = [c for c in causes if c.hit.line.level not in WARNED] or causes
    begin = causes[0].time
    incident = [c for c in causes if c.time <= begin + INCIDENT]
    first = [c for c in incident if not c.rule.consequence]
    own = [c for c in first if not c.any_process]
    return (own or first or incident)[0]


def _once(matches: list[_Match], but: _Match | None) -> list[_Match]:
    """Each rule once, without that of `but`."""
    rule_ids = {but.rule.id} if but else set()
    kept = []
    for one in matches:
        if one.rule.id not in rule_ids:
            rule_ids.add(one.rule.id)
            kept.append(one)
    return kept


def _finding(match: _Match) -> Finding:
    rule = match.rule
    groups = {name: redact(value)[:TEXT_LIMIT] for name, value in match.hit.groups.items()}
    kind = "summary" if rule.summary else rule.kind
    cause, remedy = fill(rule.cause, groups), fill(rule.remedy, groups)
    return Finding(rule.id, cause, remedy, rule.retry, kind, match.evidence)


def some(names: list[str]) -> str:
    """The first three of `names`, and that there are more."""
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
