"""The pages that `explain` prints: rules, doctor checks, error and exit codes, runbooks."""

from __future__ import annotations

import json
from pathlib import Path

from launcher import engines, paths
from launcher.engines.rules import RuleEntry
from launcher.errors import UsageError
from launcher.json_values import JsonObject, JsonValue, integer_at, object_at
from launcher.nearest import nearest

_FILE = Path(__file__).resolve().parent / "data" / "pages.json"
_EXIT_WORDS = ("exit-code", "exit", "exit_code")


def page(names: tuple[str, ...]) -> dict[str, JsonValue]:
    """The page called by `names`: a rule, a code, a check, a runbook, a number or `exit-code N`.

    Raises:
        UsageError: there is none; names the nearest.
    """
    name = names[-1]
    pages_data = json.loads(_FILE.read_text(encoding="utf-8"))
    checks, runbooks = _checks(), _runbooks()
    if names[0] in _EXIT_WORDS or (len(names) == 1 and name.isdigit()):
        if len(names) <= 2 and name in pages_data["exit_codes"]:
            return {"kind": "exit-code", "id": name, **pages_data["exit_codes"][name]}
        raise _nothing(" ".join(names), list(pages_data["exit_codes"]))
    if len(names) == 1:
        rule = next(((e, r) for e, r in _rules() if r.id == name.upper()), None)
        if rule:
            return _rule_page(*rule)
        if name in checks:
            return {"kind": "check", "id": name, **checks[name]}
        if name in pages_data["errors"]:
            return _error_page(name, pages_data["errors"][name])
        if name in runbooks:
            return _runbook_page(name, runbooks[name])
    every = [entry.id for _, entry in _rules()]
    raise _nothing(" ".join(names), [*every, *pages_data["errors"], *checks, *runbooks])


def index() -> dict[str, list[dict[str, str]]]:
    """Every page by its kind: the word that calls it, and what it is about."""
    pages_data = json.loads(_FILE.read_text(encoding="utf-8"))
    return {
        "runbooks": [
            {"id": name, "title": _runbook_page(name, path)["title"], "path": str(path)}
            for name, path in _runbooks().items()
        ],
        "exit_codes": [
            {"id": k, "title": page["title"]} for k, page in pages_data["exit_codes"].items()
        ],
        "checks": [{"id": name, "title": check["title"]} for name, check in _checks().items()],
        "errors": [
            {"id": code, "title": page["means"]} for code, page in pages_data["errors"].items()
        ],
        "rules": [
            {"id": entry.id, "engine": engine, "kind": entry.kind, "cause": entry.cause}
            for engine, entry in _rules()
        ],
    }


def _rules() -> list[tuple[str, RuleEntry]]:
    """Every rule with the engine whose it is, those of any process last."""
    return [(book.engine, entry) for book in engines.rule_books() for entry in book.entries]


def _checks() -> dict[str, JsonObject]:
    from launcher.doctor import every_check

    return {
        check.id: {"title": check.title, "means": check.why, "fast": check.fast}
        for check in every_check()
    }


def _runbooks() -> dict[str, Path]:
    folder = paths.shipped("deploy", "runbooks")
    return {page.stem: page for page in sorted(folder.glob("*.md")) if page.stem != "README"}


def _runbook_page(name: str, path: Path) -> dict[str, JsonValue]:
    lines = path.read_text(encoding="utf-8").splitlines()
    # The first line tells a test which fault the page is tried with.
    start = next(number for number, line in enumerate(lines) if line.startswith("# "))
    title = lines[start].removeprefix("# ")
    text = "\n".join(lines[start:])
    return {"kind": "runbook", "id": name, "title": title, "path": str(path), "text": text}


def _error_page(code: str, page: JsonObject) -> dict[str, JsonValue]:
    """The page; its exit code, or each of them with when it is that one."""
    single = integer_at(page, "exit_code")
    exits = {str(single): ""} if single is not None else object_at(page, "exit_code")
    return {
        "kind": "error",
        "id": code,
        "exit_codes": [{"code": int(number), "when": when} for number, when in exits.items()],
        "means": page["means"],
        "remedy": page["remedy"],
    }


def _rule_page(engine: str, entry: RuleEntry) -> dict[str, JsonValue]:
    return {
        "kind": entry.kind,
        "id": entry.id,
        "engine": engine,
        "cause": entry.cause,
        "remedy": entry.remedy,
        "retry": entry.retry,
        "phase": entry.phase,
        "where": entry.where,
        "releases": list(entry.releases),
        "exit_code": entry.exit_code,
        "pattern": entry.pattern,
        "sample": entry.sample,
        "before": entry.before,
        "evidence": entry.evidence,
        "origin": list(entry.origin),
    }


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
