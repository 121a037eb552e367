"""Diagnoses of what lies on disk: an instance of ours, or any folder of logs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from launcher import engines
from launcher.diagnose.diagnosis import TEXT_LIMIT, Diagnosis, Evidence, Finding, fill
from launcher.diagnose.engine import diagnose, some
from launcher.diagnose.lines import is_log, redact
from launcher.diagnose.log_lengths import cut_by_records
from launcher.diagnose.matching import compile_rules
from launcher.diagnose.newest import newest_lines
from launcher.diagnose.sources import LogFile, below, cut, is_binary, log_file, packed
from launcher.engines import rules as rulebooks
from launcher.engines.rules import RuleBook
from launcher.plan.model import FailureRule, LaunchPlan, LogRules

_HEAD = 1024 * 1024
"""Bytes of each file in which an engine names itself."""
OUR_STOP = "lines written after ernie-deploy began to stop the engine are left out"


def of_instance(
    log_folder: Path,
    engine_log: Path,
    rules: Iterable[FailureRule],
    *,
    log_rules: LogRules | None,
    exit_code: int | None = None,
    state: str = "loading",
    noise: Iterable[str] = (),
    since: float | None = None,
    until: Mapping[str, int] | None = None,
    served: float | None = None,
    symptom: str | None = None,
) -> Diagnosis:
    """The first cause in an instance's logs.

    `log_rules` is the plan's (`log_rules_of`), None where nothing is known of the engine.
    `engine_log` is the captured output (its rotated parts `.1`, `.2` ... are read too),
    `log_folder` the engine's own logs. `since` is when this start began, in epoch seconds.
    `until` is how long each log was when we sent the first signal (`files.lengths`): whatever
    the engine wrote after it, it wrote because of us.
    `served` is when it was proved to work, in epoch seconds: unknown errors before that did not
    keep it from working.
    `symptom` names the rule for what was seen from outside where no line may tell:
    `no-progress` (a load that stands still) or a rule id.
    """
    log_rules = log_rules or LogRules()
    captured = sorted(engine_log.parent.glob(engine_log.name + "*"), key=_age, reverse=True)
    files = [LogFile(path, path.name, raw=True) for path in captured]
    captured_paths = {os.path.realpath(path) for path in captured}
    files += [
        f
        for f in below(log_folder, log_rules.private, log_rules.logger)
        if os.path.realpath(f.path) not in captured_paths
    ]
    if until is not None:
        files = cut(files, until)
    return diagnose(
        files,
        rules,
        exit_code=exit_code,
        state=state,
        noise=noise,
        since=since,
        served=served,
        symptoms=_symptom(log_rules, symptom),
    )


def newest_of_instance(
    log_folder: Path,
    engine_log: Path,
    *,
    log_rules: LogRules | None,
    noise: Iterable[str] = (),
    since: float | None = None,
    unwanted: Sequence[str] = (),
) -> tuple[Evidence, ...]:
    """The newest telling lines of an instance's logs, see `newest_lines`."""
    log_rules = log_rules or LogRules()
    files = [LogFile(engine_log, engine_log.name, raw=True)]
    files += below(log_folder, log_rules.private, log_rules.logger)
    return newest_lines(files, noise, since or 0.0, unwanted)


def rule_of_answer(
    log_rules: LogRules | None, rules: Iterable[FailureRule], status: int | None, body: str
) -> Finding | None:
    """The rule for what the health question was answered with; None where no rule knows it."""
    ordered = tuple(rules)
    matched = compile_rules(ordered).first(body) if body else None
    by_status = {one.status: one.rule for one in log_rules.health} if log_rules else {}
    rule = ordered[matched[0]] if matched else by_status.get(status) if status else None
    if rule is None:
        return None
    groups = {k: v for k, v in matched[1].groupdict().items() if v} if matched else {}
    evidence = Evidence("GET /health", 0, redact(f"{status} {body}".strip())[:TEXT_LIMIT])
    cause, remedy = fill(rule.cause, groups), fill(rule.remedy, groups)
    return Finding(rule.id, cause, remedy, rule.retry, rule.kind, evidence)


def of_folder(
    folder: Path, engine: str | None = None, *, exit_code: int | None = None, state: str = "loading"
) -> Diagnosis:
    """The first cause in the logs below `folder`, or in the file `folder`, of any server.

    `engine` None: whose logs they are is found out by the words in them, and every engine's rules
    are tried where they do not tell. Only the last start in the logs counts.
    """
    *own, common = engines.rule_books()
    books = [book for book in own if book.engine == engine] if engine else whose(folder, own)
    loggers = [glob for book in books for glob in book.logger_logs]
    if folder.is_dir():
        files = below(folder, [glob for book in books for glob in book.private_logs], loggers)
    else:
        files = [log_file(folder, folder.parent, loggers)]
    files, was_cut = cut_by_records(files, folder)
    diagnosis = diagnose(
        files,
        rulebooks.in_order(books),
        exit_code=exit_code,
        state=state,
        noise=[text for book in (*books, common) for text in book.noise()],
        start_marks=[mark for book in books for mark in book.start_marks],
        ready_marks=[mark for book in (*books, common) for mark in book.ready_marks],
    )
    if was_cut:
        diagnosis = dataclasses.replace(diagnosis, notes=(*diagnosis.notes, OUR_STOP))
    unread = packed(folder) if folder.is_dir() else []
    if not unread:
        return diagnosis
    named = some(unread)
    note = f"compressed logs are not read ({named}): unpack them if it failed before the rotation"
    return dataclasses.replace(diagnosis, notes=(*diagnosis.notes, note))


def whose(folder: Path, books: Sequence[RuleBook]) -> Sequence[RuleBook]:
    """The book of the engine whose words stand most often in the logs, or all of them."""
    count = dict.fromkeys((book.engine for book in books), 0)
    for head in _heads(folder):
        for book in books:
            count[book.engine] += sum(head.count(sign.encode()) for sign in book.signs)
    best = max(books, key=lambda book: count[book.engine])
    return [best] if count[best.engine] else books


def recognised(folder: Path) -> bool:
    """True where at least one line below `folder` has a form that logs have.

    Of anything else "nothing is wrong" would be said without knowing what was read.
    """
    return any(is_log(head) for head in _heads(folder))


def _heads(folder: Path) -> Iterator[bytes]:
    """The beginning of each file that is not binary."""
    for path in [f.path for f in below(folder)] if folder.is_dir() else [folder]:
        with contextlib.suppress(OSError), path.open("rb") as stream:
            head = stream.read(_HEAD)
            if not is_binary(head):
                yield head


def _age(path: Path) -> int:
    """The number of a rotated file: `engine.log` 0, `engine.log.1` 1."""
    suffix = path.name.rpartition(".")[2]
    return int(suffix) if suffix.isdigit() else 0


def _symptom(log_rules: LogRules, name: str | None) -> dict[str, str] | None:
    """The texts of a symptom's rule, None if the symptom is unknown."""
    if name is None:
        return None
    symptom = {"no-progress": "LOAD-HANG"}.get(name, name)
    for rule in log_rules.symptoms:
        if rule.id == symptom or rule.id.endswith(f"-{symptom}"):
            return {
                "rule": rule.id,
                "cause": fill(rule.cause, {}),
                "remedy": fill(rule.remedy, {}),
                "retry": "yes" if rule.retry else "no",
                "seen": rule.where,
            }
    return None


def log_rules_of(plan: LaunchPlan) -> LogRules:
    """How the logs of a plan's engine are read, also where the plan is older than such rules."""
    if plan.log_rules is not None:
        return plan.log_rules
    return rulebooks.book(plan.engine).log_rules()
