"""Streams: the wire, their order, their end, their usage, and that they stream at all."""

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

PARAGRAPH = "Tell me a story."
TRIES = 3
MOST_TRIES = 8
AT_ONCE = 0.2
"""Of an answer's time: less between its first and its last text is not a stream."""
LUMP_SECONDS = 0.0004
"""A text: what comes faster was written at once; no model writes two thousand tokens a second."""
ONE_CHUNK_TOKENS = 24
"""Tokens of a chunk on average: more, and the answer was not sent as it was generated."""
LONG_QUESTIONS = (PARAGRAPH, "Count from 1 to 100.", COUNT)
STARVED = 0.4
"""Of an answer's time spent waiting for a processor: more, and its chunks' times say nothing."""


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
    "a stream says why it ended and closes as the dialect closes",
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
    pieces = sum(1 for c in answer.chunks for d in c.choices if _text(d))
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


@check(
    "stream-timing",
    "chunks arrive while the answer is generated",
    tags="quick",
    needs="stream",
    disturbs=True,
)
def stream_timing(session: Session) -> Outcome:
    """Several chunks, spread over the time of the answer; first token and rate as measured.

    A client that is short of a processor reads late what was sent in time: only a stream that
    comes at once in every one of three tries, in which this side did not wait for a processor, is
    the server's doing. A server that is busy with others keeps a request waiting before it
    generates: that time is measured, and is not taken for generation.
    """
    answer, times = _timed(session)
    counted = 0
    for _ in range(MOST_TRIES):
        if not _at_once(answer, times):
            break
        counted += answer.waited < STARVED * answer.seconds
        if counted == TRIES:
            break
        answer, times = _timed(session)
    spread = times[-1] - times[0]
    if _at_once(answer, times):
        if counted < TRIES:
            raise inconclusive(
                f"{len(times)} chunks came within {spread:.3f} s, but this side waited for a "
                f"processor for {answer.waited:.2f} of {answer.seconds:.2f} s"
            )
        single = session.answered(PARAGRAPH, stream=True, max_tokens=1)
        queued = single.first_token or single.seconds
        if spread >= AT_ONCE * (times[-1] - queued):
            raise inconclusive(
                f"a single token takes {queued:.2f} s: the server is too busy to see it stream"
            )
        session.expect(
            False,
            "all-at-once",
            f"chunks over the {answer.seconds:.2f} s of the answer",
            f"{len(times)} chunks within {spread:.3f} s, in each of {TRIES} tries",
        )
    measures = {"first_token_seconds": answer.first_token or 0.0, "seconds": answer.seconds}
    measures["longest_gap_seconds"] = max(b - a for a, b in pairwise(times))
    measures["tail_seconds"] = max(0.0, answer.seconds - times[-1])
    completion_tokens = answer.usage.completion if answer.usage else None
    if completion_tokens and completion_tokens > 1 and spread > 0:
        measures["tokens_per_second"] = (completion_tokens - 1) / spread
    return session.outcome(
        f"first token after {measures['first_token_seconds']:.3f} s, "
        f"{len(times)} chunks over {spread:.2f} s",
        **measures,
    )


def _timed(session: Session) -> tuple[Answer, list[float]]:
    """A streamed answer and the moments at which its text came; the longest of a few questions."""
    best: tuple[Answer, list[float]] | None = None
    for question in LONG_QUESTIONS:
        answer = session.answered(question, stream=True)
        session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
        times = [c.at for c in answer.chunks if any(_text(d) for d in c.choices)]
        completion_tokens = answer.usage.completion if answer.usage else None
        session.require(
            completion_tokens is None
            or completion_tokens < ONE_CHUNK_TOKENS * max(1, len(times))
            or _short(answer),
            "one-chunk",
            "an answer in chunks of a few tokens",
            f"{completion_tokens} tokens in {len(times)} chunks with text",
        )
        if best is None or len(times) > len(best[1]):
            best = answer, times
        if len(times) >= 20:
            break
    answer, times = best or (answer, times)
    if len(times) < 2:
        session.require(
            len(answer.chunks) > 2 or _short(answer),
            "one-chunk",
            "an answer in several chunks",
            f"{len(times)} with text",
        )
        raise inconclusive("the answer is too short to see it stream")
    return answer, times


def _at_once(answer: Answer, times: list[float]) -> bool:
    """A server that generates first and then sends keeps nearly all time before the first chunk."""
    if len(times) >= 8 and len({round(t, 4) for t in times}) == 1:
        return True
    spread = times[-1] - times[0]
    if 3 <= len(times) < 20 and spread < LUMP_SECONDS * len(times):
        return True
    # Up to the last text: an end that comes late is the tail's to judge.
    return len(times) >= 20 and times[-1] >= 0.2 and spread < AT_ONCE * times[-1]


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
            if finished and _text(item):
                session.expect(False, "text-after-end", "no text after finish_reason", _text(item))
            finished = finished or bool(item.get("finish_reason"))


def _text(choice: JsonObject) -> str:
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


def _short(answer: Answer) -> bool:
    return len(answer.choice.text) + len(answer.choice.reasoning or "") < 16
