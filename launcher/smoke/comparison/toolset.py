"""Tool calls over a set of prompts, as vendor verifiers count them.

trigger rate     = answers with a call / answers
trigger accuracy = answers that call, or do not call, as the prompt set expects / answers
schema accuracy  = calls of an offered tool with arguments valid against its schema / calls
agreement        = prompts where two targets both call, or both do not / prompts
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import UsageError
from launcher.json_values import JsonValue, at, list_at
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import Check
from launcher.smoke.checks.toolbox import TIME, WEATHER, name_of, parameters_of
from launcher.smoke.clients.base import TransportError
from launcher.smoke.clients.plain import PlainClient
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.comparison.payloads import ToolCounts
from launcher.smoke.judgement.schema import violations
from launcher.smoke.outcome import Outcome, passed
from launcher.smoke.session import Session
from launcher.smoke.target import Target

DATA = Path(__file__).parents[1] / "data" / "tool_prompts.json"
WIDTH = 4
SILENT = 4
"""So many prompts wait in vain, before any is answered, until the rest is not asked."""
UNANSWERED = "the server does not answer: {count} prompts before this one waited in vain"
TOOLS = (WEATHER, TIME)
SCHEMAS = {name_of(tool): parameters_of(tool) for tool in TOOLS}


@dataclass(frozen=True)
class Prompt:
    """A question, and the tool that it should trigger (None: none)."""

    text: str
    call: str | None = None


@dataclass(frozen=True)
class PromptResult:
    """What one prompt got: its calls, or why there was no answer (`error`).

    `silent` where nothing came at all. `valid` of the `calls` fit the schema of their tool.
    """

    error: str | None = None
    silent: bool = False
    as_expected: bool = False
    calls: int = 0
    valid: int = 0

    @property
    def triggered(self) -> bool | None:
        """Whether the answer calls; None without an answer."""
        return self.calls > 0 if self.error is None else None


def prompts(path: Path | None = None) -> list[Prompt]:
    """The prompt set of a file, or ours.

    Raises:
        UsageError: the file cannot be read or is not a prompt set.
    """
    where = str(path or DATA)
    try:
        document: JsonValue = json.loads((path or DATA).read_text(encoding="utf-8"))
        questions = [_prompt(entry) for entry in list_at(document, "prompts")]
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError.of(
            "bad-prompts", f"no prompt set: {type(error).__name__}: {error}", where
        ) from error
    if not questions:
        raise UsageError.of("bad-prompts", "no prompts in it", where)
    return questions


def _prompt(entry: JsonValue) -> Prompt:
    text, call = at(entry, "prompt"), at(entry, "call")
    if not isinstance(text, str) or not isinstance(call, (str, type(None))):
        raise ValueError(f"a prompt is a text, its call a tool's name or null: {entry!r}")
    return Prompt(text, call or None)


def measure(target: Target, questions: Sequence[Prompt]) -> ToolCounts:
    """Ask every prompt once at temperature 0 and count."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for position in range(len(questions)):
        waiting.put(position)
    rows: dict[int, PromptResult] = {}
    session = session_of(target, "tool-set")

    def work() -> None:
        while True:
            try:
                position = waiting.get_nowait()
            except queue.Empty:
                return
            silent = sum(row.silent for row in list(rows.values()))
            if silent >= SILENT and silent == len(rows):
                rows[position] = PromptResult(UNANSWERED.format(count=silent), silent=True)
                continue
            rows[position] = _row(session, questions[position])

    threads = [
        threading.Thread(target=work, daemon=True)
        for _ in range(min(WIDTH, target.max_num_seqs or WIDTH))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(target.request_timeout * len(questions))
    return counted([rows.get(i, PromptResult("no answer")) for i in range(len(questions))])


def unreachable(count: int) -> ToolCounts:
    """The counts of so many prompts to a target that is not there: none was asked."""
    return counted([PromptResult("not reachable")] * count)


def counted(rows: Sequence[PromptResult]) -> ToolCounts:
    """The rates of a set of rows."""
    answered = [row for row in rows if row.error is None]
    calls = sum(row.calls for row in answered)
    return ToolCounts(
        prompts=len(rows),
        answered=len(answered),
        errors=tuple(row.error for row in rows if row.error is not None)[:3],
        triggered=tuple(row.triggered for row in rows),
        trigger_rate=_rate(sum(row.calls > 0 for row in answered), len(answered)),
        trigger_accuracy=_rate(sum(row.as_expected for row in answered), len(answered)),
        calls=calls,
        schema_accuracy=_rate(sum(row.valid for row in answered), calls),
    )


def agreement(one: Sequence[bool | None], second: Sequence[bool | None]) -> float | None:
    """The share of prompts on which two targets both call or both do not."""
    both = [(a, b) for a, b in zip(one, second, strict=True) if a is not None and b is not None]
    return _rate(sum(a == b for a, b in both), len(both))


def session_of(target: Target, name: str) -> Session:
    """A session outside the suite, through plain requests."""
    asking = Check(name, name, _nothing)
    return Session(target, asking, PlainClient(), Transcript(target.secrets))


def _row(session: Session, prompt: Prompt) -> PromptResult:
    try:
        answer = session.chat(prompt.text, tools=TOOLS, tool_choice="auto")
    except TransportError as error:
        silent = error.kind in ("timeout", "stalled", "refused")
        return PromptResult(session.safe(error.message), silent=silent)
    if answer.status != 200:
        return PromptResult(session.safe(f"HTTP {answer.status}: {answer.error}"))
    names = {c.name for c in answer.choice.calls}
    return PromptResult(
        as_expected=names == ({prompt.call} if prompt.call else set()),
        calls=len(answer.choice.calls),
        valid=_valid(answer),
    )


def _valid(answer: Answer) -> int:
    valid_count = 0
    for call in answer.choice.calls:
        try:
            arguments = loads(call.arguments, strict=False)
        except ValueError:
            continue
        valid_count += call.name in SCHEMAS and not violations(arguments, SCHEMAS[call.name])
    return valid_count


def _rate(part: int, total: int) -> float | None:
    return round(part / total, 4) if total else None


def _nothing(session: Session) -> Outcome:
    return passed("")
