"""Every answer of a run, and what shows only when they are looked at together.

A server that is wrong now and then is rarely wrong in the check that exists for it: the answers of
all checks are judged once more, side by side.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from launcher.json_values import JsonObject, JsonValue, at, is_list, list_at
from launcher.smoke.answers.answer import Answer
from launcher.smoke.answers.template_marks import without_tags
from launcher.smoke.judgement.shape import faults, is_empty
from launcher.smoke.outcome import Finding
from launcher.smoke.target import Target

PROMPT_FIELDS = (
    "model", "messages", "tools", "tool_choice", "response_format", "chat_template_kwargs"
)  # fmt: skip
"""What decides the prompt, and so its number of tokens."""


@dataclass(frozen=True)
class Entry:
    """One answer: the check and client that asked, the request's body, what came back."""

    check: str
    client: str
    body: JsonObject
    answer: Answer

    @property
    def is_answered(self) -> bool:
        """True for an answer that is not an error."""
        return self.answer.status == 200 and self.answer.error is None

    @property
    def prompt(self) -> str:
        """What decides the prompt, as a key."""
        return json.dumps([self.body.get(n) for n in PROMPT_FIELDS], sort_keys=True, default=str)

    @property
    def request(self) -> str:
        """All that was asked except how it is sent, as a key."""
        plain = {k: v for k, v in self.body.items() if k not in ("stream", "stream_options")}
        plain["messages"] = [_flat(m) for m in list_at(self.body, "messages")]
        return json.dumps(plain, sort_keys=True, default=str)


def _flat(message: JsonValue) -> JsonValue:
    """A message in parts as the same message in one text."""
    if not isinstance(message, Mapping) or not is_list(message.get("content")):
        return message
    parts = list_at(message, "content")
    texts = [str(p.get("text") or "") for p in parts if isinstance(p, Mapping)]
    return {**message, "content": "".join(texts)}


@dataclass
class Ledger:
    """The answers of a run, from every thread."""

    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, entry: Entry) -> None:
        """Keep one answer."""
        with self._lock:
            self.entries.append(entry)

    def of(self, client: str) -> list[Entry]:
        """The answers that one client got."""
        with self._lock:
            return [e for e in self.entries if e.client == client]


def judge(entries: list[Entry], target: Target) -> list[Finding]:
    """What is wrong in these answers: each code once, with how many answers show it."""
    answered = [e for e in entries if e.is_answered]
    by_finding: dict[str, list[tuple[Finding, str]]] = {}
    for entry in answered:
        for finding in faults(entry.answer, entry.body, target):
            by_finding.setdefault(finding.code, []).append((finding, entry.check))
    for finding, check in (*_together(answered), *_now_and_then(answered)):
        by_finding.setdefault(finding.code, []).append((finding, check))
    return [_counted(occurrences, len(answered)) for occurrences in by_finding.values()]


def _counted(occurrences: list[tuple[Finding, str]], total: int) -> Finding:
    first = occurrences[0][0]
    checks = ", ".join(sorted({check for _, check in occurrences})[:3])
    often = f" (in {len(occurrences)} of {total} answers; asked by {checks})"
    return Finding(first.code, first.expected, first.actual + often)


def _together(answered: list[Entry]) -> Iterator[tuple[Finding, str]]:
    """Ids that come back, and counts that differ where nothing differs."""
    for code, what, ids_of in (
        ("answer-id-reused", "an id of its own on every answer", _answer_ids),
        ("tool-id-reused", "an id of its own on every call", _call_ids),
    ):
        # A gateway may answer the same request again from its cache, ids and all.
        owners: dict[str, str] = {}
        for entry in answered:
            for identity in ids_of(entry.answer):
                if owners.setdefault(identity, entry.request) != entry.request:
                    yield Finding(code, what, f"{identity} for two requests"), entry.check
    yield from _differing(
        answered,
        "usage-prompt-varies",
        lambda e: e.prompt,
        lambda e: e.answer.usage.prompt if e.answer.usage else None,
        "prompt tokens for the same prompt",
    )
    yield from _differing(
        [e for e in answered if e.body.get("temperature") == 0 and len(e.answer.choices) == 1],
        "usage-completion-varies",
        lambda e: (e.request, _text(e.answer)),
        lambda e: e.answer.usage.completion if e.answer.usage else None,
        "completion tokens for the same answer",
    )


def _differing(
    answered: list[Entry],
    finding_code: str,
    key: Callable[[Entry], Hashable],
    value: Callable[[Entry], int | None],
    what: str,
) -> Iterator[tuple[Finding, str]]:
    first: dict[Hashable, int] = {}
    for entry in answered:
        count = value(entry)
        if count is not None and (before := first.setdefault(key(entry), count)) != count:
            yield Finding(finding_code, f"{before} {what}", str(count)), entry.check


def _now_and_then(answered: list[Entry]) -> Iterator[tuple[Finding, str]]:
    """What most streams have and some have not: an end mark, usage, a text."""
    streams = [e for e in answered if e.answer.chunks]
    done = [e for e in streams if e.answer.done is not None]
    if any(e.answer.done for e in done):
        for entry in done:
            if not entry.answer.done:
                yield Finding("stream-done", "the end mark in every stream", "none"), entry.check
    with_usage = [e for e in streams if at(e.body, "stream_options", "include_usage")]
    for group in (with_usage, [e for e in answered if not e.answer.chunks]):
        if any(e.answer.usage for e in group):
            for entry in group:
                if entry.answer.usage is None:
                    yield Finding("usage-missing", "usage in every answer", "none"), entry.check
    spoken = {e.request for e in answered if not all(map(is_empty, e.answer.choices))}
    for entry in answered:
        if entry.request in spoken and any(map(is_empty, entry.answer.choices)):
            got = "an answer without any, while the same question was answered before or after"
            yield Finding("empty-answer", "a text, a thought or a call", got), entry.check


def _answer_ids(answer: Answer) -> set[str]:
    return {answer.id} if answer.id else set()


def _call_ids(answer: Answer) -> set[str]:
    return {c.id for choice in answer.choices for c in choice.calls if c.id}


def _text(answer: Answer) -> tuple[str, str, tuple[tuple[str, str], ...], str | None]:
    """An answer's text as all servers give it: tags and blanks around it differ in streams."""
    choice = answer.choice
    return (
        without_tags(choice.content or ""),
        without_tags(choice.reasoning or ""),
        tuple((c.name, c.arguments.strip()) for c in choice.calls),
        choice.finish_reason,
    )
