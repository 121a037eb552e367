"""An answer belongs to its question: on a kept connection, in a row, with all of its prompt."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.json_values import JsonObject
from launcher.smoke.answers.answer import Answer, Chunk, from_chunks, from_json
from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT, GREETING
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.base import TransportError
from launcher.smoke.clients.connection import Connection, Response, behind_proxy
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import REJECTED, Messages, Session

CAPITAL = "What is the capital of France?"
LONG_START = "Please read this carefully before you say anything at all. " * 3
"""Longer than the keys of careless caches."""
SENTENCE = "Rain fell on the old stone bridge while two grey cats watched the slow river below."
TURNS = 6


@check(
    "keep-alive",
    "every request on a kept connection gets its own answer",
    tags="quick",
    needs="chat",
    via="http",
    disturbs=True,
)
def keep_alive(session: Session) -> Outcome:
    """Plain, streamed, refused, plain again: what the official clients do all day."""
    url = session.target.endpoint.chat_url
    if behind_proxy(url):
        raise could_not_check("a proxy stands between, which keeps connections of its own")
    alone = [_fresh(session, q, stream) for q, stream in _ROW]
    with Connection(url, session.log) as connection:
        kept = []
        for position, (question, stream) in enumerate(_ROW):
            if position == 3:
                # A refused request must not leave anything behind for the next one.
                _post(session, connection, {"model": session.target.model})
            kept.append(_own(session, connection, question, stream))
    reused = sum(k.reused for k, _ in kept)
    for position, ((question, _), (_, answer)) in enumerate(zip(_ROW, kept, strict=True)):
        _compare(session, f"{question!r} as request {position + 1}", alone, position, answer)
    ids = {a.id: q for (q, _), (_, a) in zip(_ROW, kept, strict=True) if a.id}
    for (question, _), (_, answer) in zip(_ROW, kept, strict=True):
        is_own_answer = not answer.id or ids[answer.id] == question
        session.expect(is_own_answer, "answer-id-reused", "an id on each answer", answer.id)
    if not reused and not session.findings:
        raise could_not_check("the server closes every connection: none can be kept open")
    return session.outcome(f"{len(kept)} answers, {reused} on a connection kept open")


_ROW = ((GREETING, False), (COUNT, False), (CAPITAL, False), (COUNT, True), (GREETING, False))


def _fresh(session: Session, question: str, stream: bool) -> Answer:
    with Connection(session.target.endpoint.chat_url, session.log) as connection:
        return _own(session, connection, question, stream)[1]


def _own(
    session: Session, connection: Connection, question: str, stream: bool
) -> tuple[Response, Answer]:
    more: JsonObject = {}
    if stream:
        more = {"stream": True, "stream_options": {"include_usage": True}}
    body = session.wired(session.body(question, max_tokens=48, **more))
    response = _post(session, connection, body)
    refused = response.status in REJECTED and not session.promised()
    if refused:
        raise could_not_check(f"the server does not take this request (HTTP {response.status})")
    session.require(response.status == 200, "status", "status 200", f"HTTP {response.status}")
    session.require(
        bool(response.objects), "garbled", "JSON in the answer", repr(response.body[:80])
    )
    kind = "text/event-stream" if stream else "application/json"
    session.expect(
        kind in response.kind, "content-type", f"content-type {kind}", repr(response.kind)
    )
    return response, _read(session, response, stream)


def _post(session: Session, connection: Connection, body: JsonObject) -> Response:
    headers = session.target.endpoint.all_headers()
    for last in (False, True):
        had = connection.sent
        try:
            return connection.post(body, headers, session.deadline())
        except TransportError as error:
            # A server may close what it kept open at any moment; a client then connects anew.
            if last or not had or error.kind != "closed":
                raise
            connection.forget()
    raise AssertionError("unreachable")


def _read(session: Session, response: Response, stream: bool) -> Answer:
    anthropic = session.target.endpoint.dialect == "anthropic"
    if not stream or "event-stream" not in response.kind:
        raw = response.objects[0]
        return from_json(messages_dialect.response(raw) if anthropic else raw, 200, 0.0)
    chunks = [Chunk(0.0, o) for o in response.objects]
    if anthropic:
        chunks, _ = messages_dialect.chunks(chunks)
    return from_chunks(tuple(chunks), 0.0, None)


def _compare(
    session: Session, what: str, alone: list[Answer], position: int, answer: Answer
) -> None:
    """Another question's text or count of the prompt, where its own differ, is another's answer."""
    own = alone[position]
    texts = [(question, _text_of(a)) for (question, _), a in zip(_ROW, alone, strict=True)]
    session.expect(
        not is_of_another(texts, _ROW[position][0], _text_of(answer)),
        "answer-of-another-request",
        f"the answer to {what}",
        f"that of another request: {_text_of(answer)!r}",
    )
    counts = [a.usage.prompt if a.usage else None for a in (own, answer)]
    if None not in counts:
        session.expect(
            counts[0] == counts[1],
            "answer-of-another-request",
            f"{counts[0]} prompt tokens for {what}",
            counts[1],
        )


def is_of_another(texts: Sequence[tuple[str, str]], question: str, text: str) -> bool:
    """Whether `text` answers another question than `question`; `texts` are questions and answers.

    The same question may be answered in two ways: a server that computes several requests at once
    rounds otherwise, and a small model then takes another word.
    """
    own = {answer for its, answer in texts if its == question}
    return text not in own and text in {answer for _, answer in texts}


def _text_of(answer: Answer) -> str:
    choice = answer.choice
    return f"{(choice.reasoning or '').strip()}|{choice.text}"


@check(
    "own-answer",
    "different questions get different answers",
    tags="quick",
    needs="chat",
    disturbs=True,
)
def own_answer(session: Session) -> Outcome:
    """No answer is the one of the question before, and none comes from a cache for another."""
    questions = (GREETING, CAPITAL, COUNT)
    # Each twice in a row: an answer that is one question late is right the second time.
    pairs = [[session.answered(q, max_tokens=64) for _ in range(2)] for q in questions]
    settled = [_text_of(second) for _, second in pairs]
    for (first, second), question in zip(pairs, questions, strict=True):
        stale = _text_of(first) != _text_of(second) and _text_of(first) in settled
        session.expect(
            not stale,
            "answer-of-another-request",
            f"the answer to {question!r}",
            f"that of another question: {_text_of(first)!r}",
        )
    is_stable = len(set(settled)) == 1 and len(settled[0]) > 8
    session.expect(not is_stable, "one-answer-for-all", "answers to three questions", settled[0])
    echoed = [q for q, (_, a) in zip(questions, pairs, strict=True) if a.choice.text == q]
    session.expect(len(echoed) < 2, "prompt-echoed", "answers", f"the questions: {echoed}")
    return session.outcome("three questions, each its own answer")


@check(
    "whole-prompt",
    "every part of the prompt counts, and both ends of it",
    tags="quick",
    needs="chat usage",
)
def whole_prompt(session: Session) -> Outcome:
    """The prompt's count grows with each part; a part that is dropped or cached does not count.

    One turn of at least twelve words counts as at least eight tokens in every tokenizer.
    """
    question = {"role": "user", "content": GREETING}
    base = _counted(session, [question])
    turn = [{"role": "user", "content": SENTENCE}, {"role": "assistant", "content": SENTENCE}]
    grown = [base]
    for turns in range(1, TURNS + 1):
        grown.append(_counted(session, [*turn * turns, question]))
        session.expect(
            grown[-1] >= grown[-2] + 16,
            "turns-lost",
            f"turn {turns} to count at least 16 tokens more than {grown[-2]}",
            grown[-1],
        )
    system = _counted(session, [{"role": "system", "content": SENTENCE}, question])
    session.expect(
        system >= base + 8, "system-ignored", f"a system prompt beside {base} tokens", system
    )
    both = _counted(session, [{"role": "system", "content": SENTENCE}, *turn, question])
    session.expect(
        both >= grown[1] + 8, "system-ignored", f"a system prompt beside {grown[1]} tokens", both
    )
    short, long = (
        _counted(session, [{"role": "user", "content": LONG_START + end}])
        for end in (GREETING, SENTENCE)
    )
    session.expect(
        long >= short + 4, "prompt-cut", f"an end that counts beside {short} tokens", long
    )
    before, behind = (
        _counted(session, [{"role": "user", "content": text}])
        for text in (LONG_START * 8 + GREETING, LONG_START * 16 + GREETING)
    )
    session.expect(
        behind > before + (before - short) // 2,
        "prompt-cut",
        f"twice the text to count about twice the {before} tokens",
        behind,
    )
    return session.outcome(f"{base} tokens, {grown[-1]} with {TURNS} turns before it")


def _counted(session: Session, messages: Messages) -> int:
    answer = session.answered(messages, max_tokens=1)
    if answer.usage is None or answer.usage.prompt is None:
        raise inconclusive("the server does not count the prompt's tokens: see usage")
    return answer.usage.prompt


@check(
    "content-parts",
    "a message in parts is read like one in a single text",
    tags="full",
    needs="chat",
    disturbs=True,
)
def content_parts(session: Session) -> Outcome:
    """Agents send `[{"type": "text", "text": ...}]`; the last part is the question."""
    plain = session.answered(CAPITAL)
    half = len(CAPITAL) // 2
    for texts in ([CAPITAL], [CAPITAL[:half], CAPITAL[half:]]):
        parts = [{"type": "text", "text": t} for t in texts]
        answer = session.chat([{"role": "user", "content": parts}])
        if answer.status in REJECTED:
            raise could_not_check(f"the server takes texts only (HTTP {answer.status})")
        session.accepted(answer)
        counts = [a.usage.prompt if a.usage else None for a in (plain, answer)]
        if _text_of(answer) != _text_of(plain) and None not in counts:
            session.expect(
                abs(int(counts[0] or 0) - int(counts[1] or 0)) <= 2 * len(texts),
                "parts-not-read",
                f"about {counts[0]} prompt tokens and the answer {plain.choice.text!r}",
                f"{counts[1]} and {answer.choice.text!r}",
            )
    return session.outcome(f"answered {answer.choice.text[:60]!r}")
