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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.errors import UsageError
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import Check
from launcher.smoke.checks.toolbox import TIME, WEATHER
from launcher.smoke.clients.base import TransportError
from launcher.smoke.clients.plain import PlainClient
from launcher.smoke.clients.transcript import Transcript
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
SCHEMAS = {t["function"]["name"]: t["function"]["parameters"] for t in TOOLS}


def prompts(path: Path | None = None) -> list[Mapping[str, Any]]:
    """The prompt set: `prompt`, and `call`, the tool it should trigger or None.

    Raises:
        UsageError: the file cannot be read or is not a prompt set.
    """
    try:
        questions = json.loads((path or DATA).read_text(encoding="utf-8"))["prompts"]
        is_valid = isinstance(questions, list) and all(
            isinstance(p["prompt"], str) for p in questions
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError.of(
            "bad-prompts", f"no prompt set: {type(error).__name__}: {error}", str(path or DATA)
        ) from error
    if not is_valid or not questions:
        raise UsageError.of("bad-prompts", "no prompts in it", str(path or DATA))
    return list(questions)


def measure(target: Target, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ask every prompt once at temperature 0 and count."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for position in range(len(questions)):
        waiting.put(position)
    rows: dict[int, dict[str, Any]] = {}
    session = session_of(target, "tool-set")

    def work() -> None:
        while True:
            try:
                position = waiting.get_nowait()
            except queue.Empty:
                return
            silent = sum(bool(r.get("silent")) for r in list(rows.values()))
            if silent >= SILENT and silent == len(rows):
                rows[position] = {
                    "error": UNANSWERED.format(count=silent),
                    "silent": True,
                }
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
    return counted([rows.get(i, {"error": "no answer"}) for i in range(len(questions))])


def counted(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rates of a set of rows; None where nothing was counted."""
    answered = [r for r in rows if "error" not in r]
    calls = sum(r["calls"] for r in answered)
    return {
        "prompts": len(rows),
        "answered": len(answered),
        "errors": [r["error"] for r in rows if "error" in r][:3],
        "triggered": [r.get("triggered") for r in rows],
        "trigger_rate": _rate(sum(r["triggered"] for r in answered), len(answered)),
        "trigger_accuracy": _rate(sum(r["as_expected"] for r in answered), len(answered)),
        "calls": calls,
        "schema_accuracy": _rate(sum(r["valid"] for r in answered), calls),
    }


def agreement(one: Sequence[bool | None], second: Sequence[bool | None]) -> float | None:
    """The share of prompts on which two targets both call or both do not."""
    both = [(a, b) for a, b in zip(one, second, strict=True) if a is not None and b is not None]
    return _rate(sum(a == b for a, b in both), len(both))


def session_of(target: Target, name: str) -> Session:
    """A session outside the suite, through plain requests."""
    asking = Check(name, name, _nothing)
    return Session(target, asking, PlainClient(), Transcript(target.secrets))


def _row(session: Session, item: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answer = session.chat(item["prompt"], tools=list(TOOLS), tool_choice="auto")
    except TransportError as error:
        silent = error.kind in ("timeout", "stalled", "refused")
        return {"error": session.safe(error.message), "silent": silent}
    if answer.status != 200:
        return {"error": session.safe(f"HTTP {answer.status}: {answer.error}")}
    names = {c.name for c in answer.choice.calls}
    expected_call = item.get("call")
    return {
        "triggered": bool(names),
        "as_expected": names == ({expected_call} if expected_call else set()),
        "calls": len(answer.choice.calls),
        "valid": _valid(answer),
    }


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
