"""The pages that `explain` prints: rules, doctor checks, error and exit codes, runbooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from launcher import engines, paths
from launcher.codec import decode, written
from launcher.engines.rules import RuleEntry
from launcher.errors import UsageError
from launcher.nearest import nearest

_FILE = Path(__file__).resolve().parent / "data" / "pages.json"
_EXIT_WORDS = ("exit-code", "exit", "exit_code")


@dataclass(frozen=True)
class ExitCodeText:
    """What the data file says of an exit code."""

    title: str
    meaning: str
    remedy: str


@dataclass(frozen=True)
class ErrorText:
    """What the data file says of an error code; several exit codes with when it is which."""

    meaning: str
    remedy: str
    exit_code: int | Mapping[str, str]


@dataclass(frozen=True)
class Texts:
    """The data file."""

    about: str
    exit_codes: Mapping[str, ExitCodeText]
    errors: Mapping[str, ErrorText]


@dataclass(frozen=True)
class ExitCodePage:
    """An exit code."""

    kind: Literal["exit-code"]
    id: str
    title: str
    meaning: str
    remedy: str


@dataclass(frozen=True)
class CheckPage:
    """A check of `doctor`; `fast`: `up` runs it first."""

    kind: Literal["check"]
    id: str
    title: str
    meaning: str
    fast: bool


@dataclass(frozen=True)
class RunbookPage:
    """A runbook, and the file it is in."""

    kind: Literal["runbook"]
    id: str
    title: str
    path: str
    text: str


@dataclass(frozen=True)
class ErrorExit:
    """An exit code of an error; `condition` is empty where there is one only."""

    code: int
    condition: str


@dataclass(frozen=True)
class ErrorPage:
    """An error code."""

    kind: Literal["error"]
    id: str
    exit_codes: tuple[ErrorExit, ...]
    meaning: str
    remedy: str


@dataclass(frozen=True)
class RulePage:
    """A rule; its fields are those of `launcher.engines.rules.RuleEntry`."""

    kind: Literal["failure", "summary", "warning", "request", "noise", "symptom"]
    id: str
    engine: str
    cause: str
    remedy: str
    retry: bool
    phase: str
    where: str
    releases: tuple[str, ...]
    exit_code: int | None
    pattern: str | None
    sample: str | None
    before: str | None
    evidence: str
    origin: tuple[str, ...]


Page = RulePage | ErrorPage | CheckPage | RunbookPage | ExitCodePage


@dataclass(frozen=True)
class Explanation:
    """`explain WORD`."""

    page: Page


@dataclass(frozen=True)
class PageTitle:
    """A page in the list: the word that calls it, and what it is about (a rule: its cause)."""

    id: str
    title: str | None = field(default=None, metadata=written(omit=True))
    path: str | None = field(default=None, metadata=written(omit=True))
    engine: str | None = field(default=None, metadata=written(omit=True))
    kind: str | None = field(default=None, metadata=written(omit=True))
    cause: str | None = field(default=None, metadata=written(omit=True))

    @property
    def about(self) -> str:
        """What it is about."""
        return self.title or self.cause or ""


@dataclass(frozen=True)
class PageIndex:
    """`explain`: every page by its kind."""

    runbooks: tuple[PageTitle, ...]
    exit_codes: tuple[PageTitle, ...]
    checks: tuple[PageTitle, ...]
    errors: tuple[PageTitle, ...]
    rules: tuple[PageTitle, ...]

    def kinds(self) -> dict[str, tuple[PageTitle, ...]]:
        """The pages by the word for their kind."""
        kinds = {
            "runbooks": self.runbooks,
            "exit codes": self.exit_codes,
            "checks": self.checks,
            "errors": self.errors,
            "rules": self.rules,
        }
        return {kind: pages for kind, pages in kinds.items() if pages}


def page(names: tuple[str, ...]) -> Page:
    """The page called by `names`: a rule, a code, a check, a runbook, a number or `exit-code N`.

    Raises:
        UsageError: there is none; names the nearest.
    """
    name = names[-1]
    texts = _texts()
    checks, runbooks = _checks(), _runbooks()
    if names[0] in _EXIT_WORDS or (len(names) == 1 and name.isdigit()):
        if len(names) <= 2 and name in texts.exit_codes:
            text = texts.exit_codes[name]
            return ExitCodePage("exit-code", name, text.title, text.meaning, text.remedy)
        raise _nothing(" ".join(names), list(texts.exit_codes))
    if len(names) == 1:
        rule = next(((e, r) for e, r in _rules() if r.id == name.upper()), None)
        if rule:
            return _rule_page(*rule)
        if name in checks:
            return checks[name]
        if name in texts.errors:
            return _error_page(name, texts.errors[name])
        if name in runbooks:
            return _runbook_page(name, runbooks[name])
    every = [entry.id for _, entry in _rules()]
    raise _nothing(" ".join(names), [*every, *texts.errors, *checks, *runbooks])


def index() -> PageIndex:
    """Every page by its kind: the word that calls it, and what it is about."""
    texts = _texts()
    runbooks = [_runbook_page(name, path) for name, path in _runbooks().items()]
    return PageIndex(
        runbooks=tuple(PageTitle(page.id, page.title, page.path) for page in runbooks),
        exit_codes=tuple(PageTitle(k, text.title) for k, text in texts.exit_codes.items()),
        checks=tuple(PageTitle(name, check.title) for name, check in _checks().items()),
        errors=tuple(PageTitle(code, text.meaning) for code, text in texts.errors.items()),
        rules=tuple(
            PageTitle(entry.id, engine=engine, kind=entry.kind, cause=entry.cause)
            for engine, entry in _rules()
        ),
    )


def _rules() -> list[tuple[str, RuleEntry]]:
    """Every rule with the engine whose it is, those of any process last."""
    return [(book.engine, entry) for book in engines.rule_books() for entry in book.entries]


def _texts() -> Texts:
    return decode(Texts, json.loads(_FILE.read_text(encoding="utf-8")), _FILE.name)


def _checks() -> dict[str, CheckPage]:
    from launcher.doctor import every_check

    return {
        check.id: CheckPage("check", check.id, check.title, check.why, check.fast)
        for check in every_check()
    }


def _runbooks() -> dict[str, Path]:
    folder = paths.shipped("deploy", "runbooks")
    return {page.stem: page for page in sorted(folder.glob("*.md")) if page.stem != "README"}


def _runbook_page(name: str, path: Path) -> RunbookPage:
    lines = path.read_text(encoding="utf-8").splitlines()
    # The first line tells a test which fault the page is tried with.
    start = next(number for number, line in enumerate(lines) if line.startswith("# "))
    title = lines[start].removeprefix("# ")
    return RunbookPage("runbook", name, title, str(path), "\n".join(lines[start:]))


def _error_page(code: str, text: ErrorText) -> ErrorPage:
    """The page; its exit code, or each of them with when it is that one."""
    exits = {str(text.exit_code): ""} if isinstance(text.exit_code, int) else text.exit_code
    codes = tuple(ErrorExit(int(number), when) for number, when in exits.items())
    return ErrorPage("error", code, codes, text.meaning, text.remedy)


def _rule_page(engine: str, entry: RuleEntry) -> RulePage:
    return RulePage(
        kind=entry.kind,
        id=entry.id,
        engine=engine,
        cause=entry.cause,
        remedy=entry.remedy,
        retry=entry.retry,
        phase=entry.phase,
        where=entry.where,
        releases=entry.releases,
        exit_code=entry.exit_code,
        pattern=entry.pattern,
        sample=entry.sample,
        before=entry.before,
        evidence=entry.evidence,
        origin=entry.origin,
    )


def _nothing(query: str, names: list[str]) -> UsageError:
    near = nearest(query, names, cutoff=0.5) or nearest(query.upper(), names, cutoff=0.5)
    meant = f"; did you mean {near}?" if near else ""
    return UsageError(
        UsageError.of(
            "unknown-page",
            f"nothing is known of {query!r}{meant}",
            remedy="`ernie-deploy explain` without a word lists every page",
        ).problems
    )
