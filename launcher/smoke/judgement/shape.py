"""The shape every answer must have, whatever was asked: OpenAI's schema, field by field.

Sources: https://platform.openai.com/docs/api-reference/chat/object and .../chat/streaming. What
servers are known to do differently without harm is allowed: `finish_reason` absent until the end,
null or repeated roles, empty `tool_calls`, a first chunk without choices (Azure), usage in every
chunk (vLLM's continuous_usage_stats).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from launcher.json_values import JsonObject, JsonValue, at, integer_at, object_at, text_at
from launcher.smoke.answers.answer import REASONING_FIELDS, Answer, Choice, calls_of, choices_of
from launcher.smoke.outcome import Finding
from launcher.smoke.target import Target

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")
CLOCK_SECONDS = 86_400.0
"""How far the clocks of two machines may be apart; milliseconds are wrong by a thousand times."""
ECHO_LENGTH = 24
"""Characters of a question that a model does not repeat by chance; a greeting may be returned."""
THOUGHT_LENGTH = 40
"""Characters of a thought that an answer does not begin with by chance."""

Key = str | int | None
"""A value of a server's by which calls are told apart."""


def faults(answer: Answer, body: JsonObject, target: Target) -> list[Finding]:
    """Every way in which a 200 `answer` to the chat request `body` breaks the schema."""
    if answer.status != 200 or answer.error is not None:
        return []
    defects = [*_choices(answer), *_usage(answer, body, target), *_model(answer, body, target)]
    for choice in answer.choices:
        defects += _choice(choice, answer, body)
    if answer.chunks:
        defects += _chunks(answer)
    elif answer.raw:
        defects += _plain(answer)
    if target.endpoint.dialect == "openai":
        for raw in [c.raw for c in answer.chunks] or [answer.raw]:
            defects += _head(raw, "chat.completion.chunk" if answer.chunks else "chat.completion")
    return list({f.code: f for f in reversed(defects)}.values())[::-1]


def same_model(requested: str, named: str, target: Target) -> bool:
    """True where `named`, the model of an answer, is the `requested` one.

    Servers without a served name answer with the path (`transformers serve` adds `@revision`),
    hosts leave their own prefix out or add a version.
    """
    if requested in ("default", named):
        return True
    one, second = (re.sub(r"@[\w.-]+$", "", n).rstrip("/") for n in (requested, named))
    if one == second or one.rpartition("/")[2].lower() == second.rpartition("/")[2].lower():
        return True
    if target.kind == "instance":
        return False
    long, short = sorted((one.lower(), second.lower()), key=len, reverse=True)
    suffix = re.escape(short)
    return re.fullmatch(rf"(.*[/-]{suffix})|({suffix}[-@:][v\d][\w.-]*)", long) is not None


def is_empty(choice: Choice) -> bool:
    """True where a choice holds no text, no thought and no call."""
    return not (choice.text or (choice.reasoning or "").strip() or choice.calls)


def _choices(answer: Answer) -> Iterator[Finding]:
    if not answer.choices:
        yield Finding("no-choices", "at least one choice", "none")
        return
    indices = sorted(c.index for c in answer.choices)
    if indices != list(range(len(indices))):
        yield Finding("choice-index", f"choices 0 to {len(indices) - 1}", str(indices))
    if not answer.id:
        yield Finding("no-id", "an id", repr(answer.id))


def _model(answer: Answer, body: JsonObject, target: Target) -> Iterator[Finding]:
    requested = str(body.get("model"))
    named = [c.raw.get("model") for c in answer.chunks if c.choices] or [answer.model]
    for name in dict.fromkeys(map(str, named)):
        if name in ("None", ""):
            yield Finding("no-model", "the model's name", repr(answer.model))
        elif not same_model(requested, name, target):
            yield Finding("model-name", f"an answer of the model {requested}", f"one of {name}")


def _choice(choice: Choice, answer: Answer, body: JsonObject) -> Iterator[Finding]:
    if choice.role != "assistant":
        yield Finding("role", "role assistant", repr(choice.role))
    reason = choice.finish_reason
    if reason not in FINISH_REASONS:
        yield Finding("finish-reason", "finish_reason stop, length or tool_calls", repr(reason))
    if reason == "tool_calls" and not choice.calls:
        yield Finding("finish-reason", "finish_reason stop without a call", "tool_calls")
    if reason == "stop" and is_empty(choice) and not body.get("stop"):
        yield Finding("empty-answer", "a text, a thought or a call", "an answer without any")
    ids = [c.id for c in choice.calls]
    if not all(ids) or len(set(ids)) != len(ids):
        yield Finding("tool-id", "an id of its own on every call", repr(ids))
    for call in choice.calls:
        written = [f'"{call.name}"' in choice.text, f"{call.name}(" in choice.text]
        if call.arguments.strip() in choice.text or (any(written) and "{" in choice.text):
            yield Finding(
                "call-doubled", f"the call of {call.name} once", f"and in {choice.text!r}"
            )
    content, thought = choice.text, (choice.reasoning or "").strip()
    if len(thought) >= THOUGHT_LENGTH and content != thought and content.startswith(thought):
        yield Finding("reasoning-in-content", "no reasoning in the content", repr(content))
    question = _question(body)
    if len(question) >= ECHO_LENGTH and question in (content, thought):
        yield Finding("prompt-echoed", "an answer", f"the question itself: {question!r}")


def _question(body: JsonObject) -> str:
    return text_at(body, "messages", -1, "content").strip()


def _plain(answer: Answer) -> Iterator[Finding]:
    for item in choices_of(answer.raw):
        message = item.get("message")
        if not isinstance(message, Mapping):
            yield Finding("message-shape", "a message in each choice", repr(message))
            continue
        yield from _texts(message)
        for call in calls_of(message):
            if call.get("type") != "function":
                yield Finding("tool-type", "a call of type function", repr(call.get("type")))
            yield from _function(call.get("function"))


def _texts(message: JsonObject) -> Iterator[Finding]:
    for name in ("content", *REASONING_FIELDS):
        value = message.get(name)
        if value is not None and not isinstance(value, str):
            yield Finding("content-shape", f"text or null in `{name}`", repr(value)[:200])
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        yield Finding("tool-shape", "a list of calls", repr(calls)[:200])


def _function(function: JsonValue) -> Iterator[Finding]:
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        yield Finding("tool-shape", "a function with a name", repr(function)[:200])
    elif not isinstance(function.get("arguments"), str):
        got = repr(function.get("arguments"))[:200]
        yield Finding("tool-json", "arguments that are a text of JSON", got)


def _head(raw: JsonObject, kind: str) -> Iterator[Finding]:
    """What stands beside the choices; a chunk without choices may be a gateway's own."""
    if not choices_of(raw):
        return
    if raw.get("object") != kind:
        yield Finding("object", f"object {kind}", repr(raw.get("object")))
    created = integer_at(raw, "created")
    now = int(time.time())
    # Whole numbers are compared: one of any size is not an error.
    if created is None or abs(created - now) > CLOCK_SECONDS:
        text = repr(raw.get("created"))[:80]
        yield Finding("created", f"created in whole seconds, about {now}", text)


def _chunks(answer: Answer) -> Iterator[Finding]:
    ids = {c.id for c in answer.chunks if c.choices}
    if len(ids) > 1:
        yield Finding("stream-ids", "one id in all chunks", f"{len(ids)}")
    finished: set[int] = set()
    totals = 0
    for chunk in answer.chunks:
        totals += bool(chunk.raw.get("usage")) and not chunk.choices
        for item in chunk.choices:
            index = item.get("index")
            if not isinstance(index, int):
                yield Finding("choice-index", "an index on each choice", repr(index))
                continue
            delta = object_at(item, "delta")
            yield from _texts(delta)
            if index in finished and (_carries(delta) or item.get("finish_reason")):
                yield Finding("text-after-end", "nothing of a choice after its end", repr(delta))
            if item.get("finish_reason"):
                finished.add(index)
    if totals > 1:
        yield Finding("usage-repeated", "the final usage once", f"{totals} times")
    yield from _streamed_calls(answer)


def _carries(delta: JsonObject) -> bool:
    return bool(any(delta.get(n) for n in ("content", *REASONING_FIELDS)) or calls_of(delta))


def _streamed_calls(answer: Answer) -> Iterator[Finding]:
    heads: dict[tuple[Key, Key], list[tuple[JsonValue, JsonValue]]] = {}
    for chunk in answer.chunks:
        for item in chunk.choices:
            for call in calls_of(object_at(item, "delta")):
                key = (_key(item.get("index")), _key(call.get("index")))
                heads.setdefault(key, []).append((call.get("id"), at(call, "function", "name")))
                if call.get("id") and call.get("type") != "function":
                    yield Finding("tool-type", "a call of type function", repr(call.get("type")))
    by_choice: dict[Key, list[Key]] = {}
    for choice, position in heads:
        by_choice.setdefault(choice, []).append(position)
    for positions in by_choice.values():
        if positions != list(range(len(positions))):
            yield Finding("tool-index", "calls 0, 1 ... in this order", repr(positions))
    for parts in heads.values():
        ids = [identity for identity, _ in parts if identity]
        names = [name for _, name in parts if name]
        if len(set(map(_key, ids))) > 1 or len(names) != 1 or not (parts[0][0] and parts[0][1]):
            summary = f"ids {ids[:3]}, names {names[:3]}"
            yield Finding("tool-head", "id and name in a call's first piece, once", summary)


def _key(value: JsonValue) -> Key:
    """A server's value as a key of a dictionary: an odd type is told by its text."""
    return value if value is None or isinstance(value, (int, str)) else repr(value)


def _usage(answer: Answer, body: JsonObject, target: Target) -> Iterator[Finding]:
    usage = answer.usage
    if usage is None:
        return
    counts = (usage.prompt, usage.completion, usage.total)
    if any(c is None or c < 0 for c in counts):
        yield Finding("usage-missing", "prompt, completion and total tokens", str(counts))
        return
    prompt, completion, total = (int(c or 0) for c in counts)
    if prompt + completion != total:
        yield Finding("usage-sum", f"{prompt} + {completion} = total_tokens", str(total))
    if usage.reasoning is not None and usage.reasoning > completion:
        reported = str(usage.reasoning)
        yield Finding("reasoning-miscounted", f"at most {completion} reasoning tokens", reported)
    if not completion and not all(map(is_empty, answer.choices)):
        yield Finding("usage-zero", "completion tokens above 0", str(completion))
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    if not isinstance(limit, int) or len(answer.choices) != 1:
        return
    if completion > limit:
        yield Finding("usage-over-limit", f"at most {limit} completion tokens", str(completion))
    within = prompt + limit < (target.max_model_len or 0) or limit <= 64
    cut = answer.choices[0].finish_reason == "length"
    if cut and within and completion < limit:
        reported = f"{limit} completion tokens where finish_reason is length"
        yield Finding("usage-at-length", reported, str(completion))
