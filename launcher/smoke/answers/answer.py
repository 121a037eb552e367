"""An answer of a chat endpoint as every client sees it, plain or joined from a stream.

Only facts of the wire: what is missing is None, never filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from launcher.json_values import JsonObject, JsonValue, integer_at, list_at, object_at


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
    logprobs: JsonValue = None

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
    raw: JsonObject

    @property
    def choices(self) -> list[JsonObject]:
        """The choices in it; what is not of that shape is left out."""
        return choices_of(self.raw)

    @property
    def id(self) -> str | None:
        """Its id as text, whatever type it has: one that changes is seen, too."""
        value = self.raw.get("id")
        return None if value is None else str(value)

    @property
    def deltas(self) -> list[JsonObject]:
        """The deltas of its choices."""
        return _objects([item.get("delta") for item in self.choices])


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
    raw: JsonObject = field(default_factory=dict)
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


def choices_of(raw: JsonObject) -> list[JsonObject]:
    """The choices of an answer or a chunk; what is not of that shape is left out."""
    return _objects(raw.get("choices"))


def calls_of(message: JsonObject) -> list[JsonObject]:
    """The tool calls of a message or delta."""
    return _objects(message.get("tool_calls"))


def alternatives_of(entry: JsonObject) -> list[JsonObject]:
    """The `top_logprobs` of a token's entry; those without a token as text are left out."""
    return [one for one in _objects(entry.get("top_logprobs")) if isinstance(one.get("token"), str)]


def reasoning_of(message: JsonObject) -> str | None:
    """The reasoning text of a message or delta under either name."""
    reasoning: str | None = None
    for name in REASONING_FIELDS:
        value = message.get(name)
        if isinstance(value, str):
            reasoning = reasoning or value
    return reasoning


def usage_of(raw: JsonValue) -> Usage | None:
    """The usage of an answer; None where it has none."""
    if not isinstance(raw, Mapping):
        return None
    return Usage(
        integer_at(raw, "prompt_tokens"),
        integer_at(raw, "completion_tokens"),
        integer_at(raw, "total_tokens"),
        integer_at(raw, "completion_tokens_details", "reasoning_tokens"),
    )


def from_json(raw: JsonObject, status: int, seconds: float) -> Answer:
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


def error_text(raw: JsonObject) -> str:
    """The message of an error body in any of the shapes in use."""
    error = raw.get("error", raw.get("detail", raw.get("message")))
    if isinstance(error, Mapping):
        error = error.get("message", error)
    return str(error if error is not None else dict(raw))


@dataclass
class _CallParts:
    """What has been streamed of one call."""

    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class _Parts:
    """What has been streamed of one choice."""

    def __init__(self) -> None:
        self.content: list[str] | None = None
        self.reasoning: list[str] | None = None
        self.calls: dict[int, _CallParts] = {}
        self.finish: str | None = None
        self.role: str | None = None
        self.logprobs: list[JsonValue] = []

    def add(self, item: JsonObject) -> bool:
        """Take one delta in; True where it carried text or a call."""
        delta = object_at(item, "delta")
        self.finish = _str(item.get("finish_reason")) or self.finish
        self.role = _str(delta.get("role")) or self.role
        content, reasoning = delta.get("content"), reasoning_of(delta)
        if isinstance(content, str):
            self.content = self.content or []
            self.content.append(content)
        if reasoning is not None:
            self.reasoning = self.reasoning or []
            self.reasoning.append(reasoning)
        self.logprobs += _objects(list_at(item, "logprobs", "content"))
        calls = calls_of(delta)
        for call in calls:
            self._call(call)
        return bool(content or reasoning or calls)

    def _call(self, call: JsonObject) -> None:
        call_index = call.get("index")
        index = call_index if isinstance(call_index, int) else len(self.calls)
        function = object_at(call, "function")
        kept = self.calls.setdefault(index, _CallParts())
        kept.id = kept.id or _str(call.get("id"))
        kept.name = kept.name or _str(function.get("name")) or ""
        kept.arguments.append(_str(function.get("arguments")) or "")

    def choice(self, index: int) -> Choice:
        return Choice(
            index,
            None if self.content is None else "".join(self.content),
            None if self.reasoning is None else "".join(self.reasoning),
            tuple(
                ToolCall(self.calls[i].id, self.calls[i].name, "".join(self.calls[i].arguments))
                for i in sorted(self.calls)
            ),
            self.finish,
            self.role,
            {"content": self.logprobs} if self.logprobs else None,
        )


def _choice(position: int, item: JsonObject) -> Choice:
    message = object_at(item, "message")
    calls = []
    for call in calls_of(message):
        function = object_at(call, "function")
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


def _objects(value: JsonValue) -> list[JsonObject]:
    return [one for one in list_at(value) if isinstance(one, Mapping)]


def _str(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
