"""An answer of a chat endpoint as every client sees it, plain or joined from a stream.

Only facts of the wire: what is missing is None, never filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool; `arguments` is the text as it came."""

    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True)
class Choice:
    """One of the choices of an answer; texts are None where the field is absent or null."""

    index: int
    content: str | None = None
    reasoning: str | None = None
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    role: str | None = None
    logprobs: Any = None

    @property
    def text(self) -> str:
        """The answer proper, the newlines around it removed (parsers leave them)."""
        return (self.content or "").strip()


@dataclass(frozen=True)
class Usage:
    """Token counts as the server gave them; None where absent or null."""

    prompt: int | None
    completion: int | None
    total: int | None
    reasoning: int | None = None

    def __str__(self) -> str:
        """`12 + 30 = 42 tokens, 10 of them reasoning`."""
        thought = "" if self.reasoning is None else f", {self.reasoning} of them reasoning"
        return f"{self.prompt} + {self.completion} = {self.total} tokens{thought}"


@dataclass(frozen=True)
class Chunk:
    """One event of a stream: `at` in seconds after the request was sent, `raw` its JSON."""

    at: float
    raw: Mapping[str, Any]

    @property
    def choices(self) -> list[Mapping[str, Any]]:
        """The choices in it; what is not of that shape is left out."""
        return choices_of(self.raw)

    @property
    def id(self) -> str | None:
        """Its id as text, whatever type it has: one that changes is seen, too."""
        value = self.raw.get("id")
        return None if value is None else str(value)

    @property
    def deltas(self) -> list[Mapping[str, Any]]:
        """The deltas of its choices."""
        deltas = [item.get("delta") for item in self.choices]
        return [d for d in deltas if isinstance(d, Mapping)]


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    `error` is the server's message where `status` is not 200. `done` says whether the stream ended
    with `data: [DONE]`, None where the client cannot tell. `first_token` and `seconds` are measured
    from sending the request to the first non-empty text and to the end; for `waited` of them this
    side waited for a processor.
    """

    status: int
    seconds: float
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    id: str | None = None
    model: str | None = None
    error: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[Chunk, ...] = ()
    done: bool | None = None
    first_token: float | None = None
    exchange: int | None = None
    waited: float = 0.0

    @property
    def choice(self) -> Choice:
        """The first choice; an empty one where there is none."""
        return self.choices[0] if self.choices else Choice(0)


REASONING_FIELDS = ("reasoning_content", "reasoning")
"""FastDeploy and transformers say `reasoning_content`, vLLM 0.32 says `reasoning`."""


def choices_of(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The choices of an answer or a chunk; what is not of that shape is left out."""
    return _list(raw.get("choices"))


def calls_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tool calls of a message or delta."""
    return _list(message.get("tool_calls"))


def alternatives_of(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The `top_logprobs` of a token's entry; those without a token as text are left out."""
    return [one for one in _list(entry.get("top_logprobs")) if isinstance(one.get("token"), str)]


def reasoning_of(message: Mapping[str, Any]) -> str | None:
    """The reasoning text of a message or delta under either name."""
    reasoning: str | None = None
    for name in REASONING_FIELDS:
        value = message.get(name)
        if isinstance(value, str):
            reasoning = reasoning or value
    return reasoning


def usage_of(raw: Any) -> Usage | None:
    """The usage of an answer; None where it has none."""
    if not isinstance(raw, Mapping):
        return None
    details = raw.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    return Usage(
        _int(raw.get("prompt_tokens")),
        _int(raw.get("completion_tokens")),
        _int(raw.get("total_tokens")),
        _int(reasoning),
    )


def from_json(raw: Mapping[str, Any], status: int, seconds: float) -> Answer:
    """A plain answer from its JSON body."""
    choices = tuple(_choice(position, item) for position, item in enumerate(choices_of(raw)))
    return Answer(
        status,
        seconds,
        choices,
        usage_of(raw.get("usage")),
        _str(raw.get("id")),
        _str(raw.get("model")),
        None if status == 200 else error_text(raw),
        raw,
    )


def from_chunks(chunks: tuple[Chunk, ...], seconds: float, done: bool | None) -> Answer:
    """The answer a client has after joining the deltas of a stream."""
    parts: dict[int, _Parts] = {}
    usage: Usage | None = None
    first: float | None = None
    identity: str | None = None
    model: str | None = None
    for chunk in chunks:
        identity = identity or _str(chunk.raw.get("id"))
        model = model or _str(chunk.raw.get("model"))
        usage = usage_of(chunk.raw.get("usage")) or usage
        for item in chunk.choices:
            index = item.get("index")
            spoke = parts.setdefault(index if isinstance(index, int) else 0, _Parts()).add(item)
            if spoke and first is None:
                first = chunk.at
    choices = tuple(parts[i].choice(i) for i in sorted(parts))
    error = next((error_text(c.raw) for c in chunks if c.raw.get("error")), None)
    return Answer(200, seconds, choices, usage, identity, model, error, {}, chunks, done, first)


def with_exchange(answer: Answer, exchange: int) -> Answer:
    """The same answer, linked to the transcript's entry."""
    return replace(answer, exchange=exchange)


def error_text(raw: Mapping[str, Any]) -> str:
    """The message of an error body in any of the shapes in use."""
    error = raw.get("error", raw.get("detail", raw.get("message")))
    if isinstance(error, Mapping):
        error = error.get("message", error)
    return str(error if error is not None else dict(raw))


class _Parts:
    """What has been streamed of one choice."""

    def __init__(self) -> None:
        self.content: list[str] | None = None
        self.reasoning: list[str] | None = None
        self.calls: dict[int, list[Any]] = {}
        self.finish: str | None = None
        self.role: str | None = None
        self.logprobs: list[Any] = []

    def add(self, item: Mapping[str, Any]) -> bool:
        """Take one delta in; True where it carried text or a call."""
        delta = item.get("delta")
        if not isinstance(delta, Mapping):
            delta = {}
        self.finish = _str(item.get("finish_reason")) or self.finish
        self.role = _str(delta.get("role")) or self.role
        content, reasoning = delta.get("content"), reasoning_of(delta)
        if isinstance(content, str):
            self.content = self.content or []
            self.content.append(content)
        if reasoning is not None:
            self.reasoning = self.reasoning or []
            self.reasoning.append(reasoning)
        logprobs = item.get("logprobs")
        if isinstance(logprobs, Mapping):
            self.logprobs.extend(_list(logprobs.get("content")))
        calls = calls_of(delta)
        for call in calls:
            self._call(call)
        return bool(content or reasoning or calls)

    def _call(self, call: Mapping[str, Any]) -> None:
        call_index = call.get("index")
        index = call_index if isinstance(call_index, int) else len(self.calls)
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        kept = self.calls.setdefault(index, [None, "", []])
        kept[0] = kept[0] or _str(call.get("id"))
        kept[1] = kept[1] or _str(function.get("name")) or ""
        kept[2].append(_str(function.get("arguments")) or "")

    def choice(self, index: int) -> Choice:
        return Choice(
            index,
            None if self.content is None else "".join(self.content),
            None if self.reasoning is None else "".join(self.reasoning),
            tuple(
                ToolCall(identity, name, "".join(arguments))
                for _, (identity, name, arguments) in sorted(self.calls.items())
            ),
            self.finish,
            self.role,
            {"content": self.logprobs} if self.logprobs else None,
        )


def _choice(position: int, item: Mapping[str, Any]) -> Choice:
    message = item.get("message")
    message = message if isinstance(message, Mapping) else {}
    calls = []
    for call in calls_of(message):
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        arguments = function.get("arguments")
        calls.append(
            ToolCall(
                _str(call.get("id")),
                _str(function.get("name")) or "",
                arguments if isinstance(arguments, str) else repr(arguments),
            )
        )
    index = item.get("index")
    return Choice(
        index if isinstance(index, int) else position,
        _str(message.get("content")),
        reasoning_of(message),
        tuple(calls),
        _str(item.get("finish_reason")),
        _str(message.get("role")),
        item.get("logprobs"),
    )


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
