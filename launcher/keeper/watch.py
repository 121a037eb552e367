"""Reads the engine's lines as they come: which phase it is in, and whether it has failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from launcher.diagnose.diagnosis import fill
from launcher.diagnose.lines import quotes_clients
from launcher.diagnose.literals import required
from launcher.lifecycle import InstanceState
from launcher.plain import plain
from launcher.plan.model import FailureRule, LaunchPlan

R = TypeVar("R")

LONGEST_LINE = 4000
"""Characters of a line that are searched: dumps of a whole configuration are not messages."""


@dataclass(frozen=True)
class PhaseMatch:
    """A line that a failure rule knows."""

    rule: FailureRule
    source: str
    file: str
    text: str
    groups: Mapping[str, str]

    def cause(self) -> str:
        """The rule's cause with what the line says filled in."""
        return fill(self.rule.cause, self.groups)

    def remedy(self) -> str:
        """The rule's remedy with what the line says filled in."""
        return fill(self.rule.remedy, self.groups)


@dataclass(frozen=True)
class PhaseSeen:
    """A line that shows the phase; `percent` within it, where the line says."""

    phase: str
    percent: float | None


class Watcher:
    """Matches lines against a plan's rules.

    Phases only move forward: the console repeats lines of the worker's log seconds later.
    """

    def __init__(self, plan: LaunchPlan) -> None:
        """Compile the rules of `plan`."""
        self._order = {phase.name: i for i, phase in enumerate(plan.phases)}
        self._phase_rules = _RuleSet((r, r.pattern) for r in plan.phase_rules)
        self._fatal = _RuleSet((r, r.pattern) for r in plan.failure_rules if r.fatal)
        self.texts = _texts(
            *(rule.pattern for rule in plan.phase_rules),
            *(rule.pattern for rule in plan.failure_rules if rule.fatal),
            *plan.told_to_stop,
            *(source.pattern for source in plan.exit_codes),
        )
        """Every line that matters holds one of these; None where that is not known."""
        self._noise = [re.compile(pattern) for pattern in plan.noise]
        self._told_to_stop = [re.compile(pattern) for pattern in plan.told_to_stop]
        self._exit_codes = [(s.source, re.compile(s.pattern)) for s in plan.exit_codes]
        self.phase: str | None = None
        self.percent: float | None = None
        self.worker_exit: int | None = None

    def begin(self) -> str | None:
        """The phase of an engine that has just been started: the first, before any line."""
        if self._order and self.phase is None:
            self.phase = next(iter(self._order))
        return self.phase

    def phase_of(self, source: str, text: str) -> PhaseSeen | None:
        """The phase a line shows, if it is news."""
        text = plain(text[:LONGEST_LINE])
        for rule, pattern in self._phase_rules.possible(text):
            match = pattern.search(text) if rule.source == source else None
            if match is None:
                continue
            percent = _percent(match.groupdict())
            here = self._order.get(self.phase or "", -1)
            there = self._order.get(rule.phase, -1)
            if there < here or (there == here and (percent or 0) <= (self.percent or 0)):
                return None
            self.phase, self.percent = rule.phase, percent
            return PhaseSeen(rule.phase, percent)
        return None

    def asked_to_stop(self, source: str, text: str) -> str | None:
        """The signal that the engine's own output says it was told to stop by, if any.

        An engine need not name it: then `a signal`.
        """
        if source != "engine":
            return None
        text = plain(text[:LONGEST_LINE])
        match = next(filter(None, (p.search(text) for p in self._told_to_stop)), None)
        if match is None:
            return None
        name = match.groupdict().get("signal")
        return f"SIG{name.upper()}" if name else "a signal"

    def note_exit(self, source: str, text: str, *, besides: frozenset[int] = frozenset()) -> None:
        """Remember the exit code of a worker that a line tells, unless it is one of `besides`."""
        for expected_source, pattern in self._exit_codes:
            match = pattern.search(text[:LONGEST_LINE]) if expected_source == source else None
            if match and int(match.group("code")) not in besides:
                self.worker_exit = int(match.group("code"))

    def failure_of(
        self, state: InstanceState, source: str, file: str, text: str
    ) -> PhaseMatch | None:
        """The fatal rule that knows this line in this state, if any; what clients sent is none."""
        text = plain(text[:LONGEST_LINE])
        if quotes_clients(text):
            return None
        self.note_exit(source, text)
        for rule, pattern in self._fatal.possible(text):
            match = pattern.search(text) if rule.when in ("any", state) else None
            if match and not any(noise.search(text) for noise in self._noise):
                groups = {k: v for k, v in match.groupdict().items() if v is not None}
                return PhaseMatch(rule, source, file, text.strip(), groups)
        return None


class _RuleSet(Generic[R]):
    """Rules in their order, of which a line's own texts choose the few that can match it."""

    def __init__(self, rules: Iterable[tuple[R, str]]) -> None:
        """Take each rule with its pattern."""
        self._rules: list[tuple[R, re.Pattern[str]]] = []
        self._always: frozenset[int] = frozenset()
        places: dict[str, set[int]] = {}
        for number, (rule, pattern) in enumerate(rules):
            self._rules.append((rule, re.compile(pattern)))
            fixed_texts = required(pattern)
            if fixed_texts is None:
                self._always |= {number}
            for text in fixed_texts or ():
                places.setdefault(text, set()).add(number)
        self._places = list(places.items())

    def possible(self, line: str) -> Iterable[tuple[R, re.Pattern[str]]]:
        """Every rule that can match `line`, and its pattern."""
        chosen = [numbers for text, numbers in self._places if text in line]
        return map(self._rules.__getitem__, sorted(self._always.union(*chosen)))


def _texts(*patterns: str) -> tuple[str, ...] | None:
    fixed_texts = [required(pattern) for pattern in patterns]
    if any(texts is None for texts in fixed_texts):
        return None
    return tuple(dict.fromkeys(text for texts in fixed_texts for text in texts or ()))


def _percent(groups: Mapping[str, str | None]) -> float | None:
    if groups.get("percent"):
        return float(str(groups["percent"]))
    if groups.get("fraction"):
        return float(str(groups["fraction"])) * 100
    if groups.get("done") and groups.get("total"):
        total = float(str(groups["total"]))
        return float(str(groups["done"])) / total * 100 if total else None
    return None
