"""Streams: the wire, their order, their end and their usage, and that they equal plain answers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from launcher.json_values import JsonObject, JsonValue, object_at, text_at
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import REASONING_FIELDS, Answer, choices_of, reasoning_of
from launcher.smoke.answers.template_marks import without_tags
from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT, GREETING, usage_adds_up
from launcher.smoke.checks.language import QUESTIONS
from launcher.smoke.checks.toolbox import CARD_QUESTION, WEATHER
from launcher.smoke.clients.plain import DONE
from launcher.smoke.clients.wire import EventStream
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import REJECTED, Session


@check("stream-order", "deltas come in order and make up one answer", tags="quick", needs="stream")
def stream_order(session: Session) -> Outcome:
    """The role first, numbers counted in order, reasoning before the answer, one id throughout."""
    answer = session.answered(COUNT, stream=True)
    session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
    first = next((c for c in answer.chunks if c.choices), None)
    session.require(first is not None, "no-choices", "a chunk with a choice", "none")
    session.expect(
        answer.choice.role == "assistant", "role", "role assistant in a delta", answer.choice.role
    )
    # A gateway's own first chunk, without choices, has no id (Azure's content filter).
    ids = {c.id for c in answer.chunks if c.choices or c.raw.get("id")}
    session.expect(len(ids) == 1, "stream-ids", "one id in all chunks", sorted(map(str, ids)))
    _in_order(session, answer)
    _reasoning_first(session, answer)
    _nothing_after_finish(session, answer)
    return session.outcome(f"{len(answer.chunks)} chunks in order")


@check(
    "stream-end",
    "a stream says why it ended and closes with [DONE]",
    tags="quick",
    needs="stream",
    via="http",
)
def stream_end(session: Session) -> Outcome:
    """finish_reason once per choice, `data: [DONE]` last, nothing cut, the right content type."""
    if session.target.endpoint.dialect != "openai":
        raise could_not_check("judged on OpenAI's wire only: see messages-stream")
    ended = _judge_end(session, session.wire(COUNT), "whole")
    _judge_end(session, session.wire(COUNT, max_tokens=8), "cut by max_tokens")
    usage = {"include_usage": True}
    if session.target.promised("stream-usage") is not False:
        _judge_end(session, session.wire(GREETING, stream_options=usage), "with usage", usage=True)
    if session.target.promised("tools-stream"):
        _judge_end(session, session.wire(CARD_QUESTION, tools=[WEATHER]), "with a tool")
    return session.outcome(f"ended with {', '.join(map(str, ended))}")


def _judge_end(
    session: Session, stream: EventStream, how: str, *, usage: bool = False
) -> list[JsonValue]:
    """The reasons that the stream gives for its end."""
    if stream.status in REJECTED and not session.promised("stream"):
        raise could_not_check(f"the server does not take a stream (HTTP {stream.status})")
    session.require(stream.status == 200, "status", "status 200", f"HTTP {stream.status}")
    kind = stream.headers.get("content-type", "")
    session.require("text/event-stream" in kind, "no-stream", "text/event-stream", kind)
    session.expect(
        not stream.trailing, "stream-cut", "an end at an event's end", repr(stream.trailing[:80])
    )
    datas = [text for _, text in stream.events]
    chunks = [_object(session, d) for d in datas if d != DONE]
    finish_reasons: list[JsonValue] = [
        r for c in chunks for item in choices_of(c) if (r := item.get("finish_reason"))
    ]
    session.expect(
        len(finish_reasons) == 1, "stream-finish", f"one finish_reason ({how})", finish_reasons
    )
    if session.target.promised("stream-done") is not False:
        last = datas[-1] if datas else "nothing"
        session.expect(last == DONE, "stream-done", f"`data: [DONE]` at the end ({how})", last)
        session.expect(datas.count(DONE) <= 1, "stream-done", "one [DONE]", datas.count(DONE))
    elif DONE in datas:
        session.expect(datas[-1] == DONE, "stream-done", "nothing after [DONE]", datas[-1])
    if usage and session.promised("stream-usage"):
        counted = [bool(c.get("usage")) for c in chunks]
        session.expect(
            bool(counted) and counted[-1], "usage-not-last", "usage in the last chunk", counted[-3:]
        )
    return finish_reasons


@check(
    "stream-usage",
    "include_usage gives a last chunk with usage",
    tags="quick",
    needs="stream stream-usage",
)
def stream_usage(session: Session) -> Outcome:
    """Usage that adds up, once, at the end."""
    answer = session.answered(COUNT, stream=True)
    session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
    usage_adds_up(session, answer.usage)
    with_usage = [i for i, c in enumerate(answer.chunks) if c.raw.get("usage")]
    if with_usage:
        session.expect(
            with_usage[-1] == len(answer.chunks) - 1,
            "usage-not-last",
            "usage in the last chunk",
            f"chunk {with_usage[-1] + 1}",
        )
    pieces = sum(1 for c in answer.chunks for d in c.choices if text_of(d))
    completion_tokens = answer.usage.completion if answer.usage else None
    if completion_tokens is not None:
        # Every piece of text holds at least one token.
        session.expect(
            pieces <= completion_tokens + 2,
            "usage-too-small",
            f"at least {pieces} tokens for {pieces} pieces",
            completion_tokens,
        )
    return session.outcome(f"{answer.usage}")


@check(
    "stream-equals-plain",
    "joined deltas equal the plain answer at temperature 0",
    needs="stream chat",
    disturbs=True,
)
def stream_equals_plain(session: Session) -> Outcome:
    """Inconclusive where two plain answers already differ."""
    for question in (COUNT, "What is the capital of France?", QUESTIONS[0]):
        plain = session.answered(question)
        again = session.answered(question)
        if _parts_of(plain) != _parts_of(again):
            raise inconclusive("two plain answers to the same question differ at temperature 0")
        streamed = session.answered(question, stream=True)
        _compare(session, plain, streamed)
    return session.outcome("streamed and plain answers are the same")


def _in_order(session: Session, answer: Answer) -> None:
    if _upward(answer.choice.text):
        return
    plain = session.answered(COUNT)
    if _upward(plain.choice.text):
        session.expect(False, "stream-swapped", "the numbers in counting order", answer.choice.text)


def _object(session: Session, data: str) -> JsonObject:
    """An event's JSON object; an empty one, and a finding, where it holds none."""
    try:
        event: JsonValue = loads(data, strict=False)
    except ValueError:
        event = None
    is_object = isinstance(event, Mapping)
    session.expect(is_object, "event-broken", "a JSON object in every event", data)
    return object_at(event)


def _upward(text: str) -> bool:
    """True where numbers only grow; a model that cannot count is not the stream's fault."""
    numbers = [int(w) for w in text.replace(",", " ").split() if w.isdigit()]
    return all(a <= b for a, b in pairwise(numbers))


def _reasoning_first(session: Session, answer: Answer) -> None:
    answering = False
    late = False
    for chunk in answer.chunks:
        for delta in chunk.deltas:
            content, thought = delta.get("content"), reasoning_of(delta) or ""
            # One delta has no order: it may hold the last thought and the first text.
            late = late or (answering and bool(thought.strip()))
            answering = answering or (isinstance(content, str) and bool(content.strip()))
    session.expect(not late, "reasoning-late", "reasoning before the answer", "reasoning after it")


def _nothing_after_finish(session: Session, answer: Answer) -> None:
    finished = False
    for chunk in answer.chunks:
        for item in chunk.choices:
            if finished and text_of(item):
                session.expect(
                    False, "text-after-end", "no text after finish_reason", text_of(item)
                )
            finished = finished or bool(item.get("finish_reason"))


def text_of(choice: JsonObject) -> str:
    """The text that a choice of a chunk carries, thought or answer."""
    return "".join(text_at(choice, "delta", name) for name in ("content", *REASONING_FIELDS))


def _parts_of(answer: Answer) -> tuple[str, str, str | None]:
    choice = answer.choice
    return choice.text, (choice.reasoning or "").strip(), choice.finish_reason


def _compare(session: Session, plain: Answer, streamed: Answer) -> None:
    pairs = zip(
        ("content", "reasoning", "finish_reason"),
        _parts_of(plain),
        _parts_of(streamed),
        strict=True,
    )
    for name, a, b in pairs:
        # A leaked tag is a fault of its own; what else differs must not hide behind it.
        code = f"stream-{name}-differs"
        if name == "content" and a != b and without_tags(str(b)) == a:
            code = "tags-in-content"
        session.expect(a == b, code, f"{name} {a!r} as in the plain answer", b)
    if plain.usage and streamed.usage:
        for name in ("prompt", "completion"):
            counts = [getattr(a.usage, name) for a in (plain, streamed)]
            session.expect(
                counts[0] == counts[1],
                "stream-usage-differs",
                f"{counts[0]} {name} tokens as plain",
                counts[1],
            )
    _compare_blanks(session, plain.choice.content or "", streamed.choice.content or "")


def _compare_blanks(session: Session, plain: str, streamed: str) -> None:
    """Newlines at the end that only one way keeps: parsers leave theirs at both ends or at none."""
    is_equal = plain.strip() == streamed.strip() and plain.strip()
    heads = [t[: len(t) - len(t.lstrip())] for t in (plain, streamed)]
    tails = [t[len(t.rstrip()) :] for t in (plain, streamed)]
    if is_equal and heads[0] == heads[1]:
        session.expect(
            tails[0] == tails[1],
            "stream-blanks-differ",
            f"{tails[0]!r} at the end as plain",
            tails[1],
        )
