"""Many at once: nothing lost, nothing mixed, and a client that goes away frees its place."""

from __future__ import annotations

import random
import threading
import time

from launcher.smoke.answers import Answer
from launcher.smoke.check import Outcome, check, could_not_check, inconclusive
from launcher.smoke.clients.base import TransportError
from launcher.smoke.session import Session

SEATS = 8
"""Requests at once where the target does not say how many it takes."""
MOST = 256
"""Requests at once at most: beyond, this side would be what is tested."""
DISCONNECT_TRIES = 2
MOST_ASKED_AGAIN = 3
WORDS = (
    "apple",
    "tiger",
    "marble",
    "lantern",
    "copper",
    "falcon",
    "meadow",
    "velvet",
    "harbor",
    "thunder",
    "silver",
    "pumpkin",
)


@check(
    "concurrency",
    "as many requests as there are seats: every answer carries its own marker",
    tags="load",
    needs="chat",
    disturbs=True,
)
def concurrency(session: Session) -> Outcome:
    """All answered, none with another's marker, half of them streamed."""
    count = min(session.target.max_num_seqs or SEATS, MOST)
    echoes = _echoes(session)
    answers, seconds = _all_at_once(session, count, echoes)
    refused = [a for a in answers.values() if isinstance(a, Answer) and a.status == 429]
    session.expect(
        not refused, "refused-within-seats", f"{count} answers", f"{len(refused)} of 429"
    )
    _judge(session, answers, echoes)
    return session.outcome(f"{count} at once in {seconds:.2f} s", seconds=seconds)


@check(
    "over-capacity",
    "more requests than seats are queued or told 429, none lost or mixed",
    tags="load",
    needs="chat",
    disturbs=True,
)
def over_capacity(session: Session) -> Outcome:
    """Twice the seats and four more; of very many seats, all and a few more."""
    seats = session.target.max_num_seqs or SEATS
    if seats > MOST:
        raise could_not_check(f"{seats} seats are more than the {MOST} requests asked at once")
    count = seats + min(seats, SEATS * 4) + 4
    echoes = _echoes(session)
    answers, seconds = _all_at_once(session, count, echoes)
    refused = sum(isinstance(a, Answer) and a.status == 429 for a in answers.values())
    session.expect(refused < count, "all-refused", "answers", "429 for every request")
    _judge(session, answers, echoes)
    return session.outcome(
        f"{count} at once in {seconds:.2f} s, {refused} told 429", seconds=seconds
    )


@check(
    "disconnect",
    "a client that goes away frees its place",
    tags="load",
    needs="stream",
    disturbs=True,
    via="http",
)
def disconnect(session: Session) -> Outcome:
    """Seats are filled with streams that hang up early; a question then is not held up.

    Left streams hold every seat for the rest of a long answer. A question that takes longer than
    half of one is asked again, seats and all: only where it is held up each time is it so.
    """
    count = min(session.target.max_num_seqs or SEATS, MOST)
    long = "Tell me a very long story about the sea."
    before = session.answered("Hello!").seconds
    whole = session.answered(long).seconds
    allowed = max(5.0, 5 * before, before + whole / 2)
    starved = 0.0
    for _ in range(DISCONNECT_TRIES):
        threads = [
            threading.Thread(target=_hang_up, args=(session, long), daemon=True)
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(session.target.request_timeout)
        after = session.chat("Hello!")
        session.require(
            after.status == 200, "unwell-afterwards", "an answer", f"HTTP {after.status}"
        )
        if after.seconds <= allowed:
            return session.outcome(f"answered {after.seconds:.2f} s after {count} clients hung up")
        starved = max(starved, after.waited)
    # What was slow alone afterwards, too, was not slow because of the streams.
    alone = session.answered("Hello!").seconds
    if starved > allowed / 2 or alone > allowed / 2:
        raise inconclusive(
            f"answered after {after.seconds:.1f} s, but alone it takes {alone:.1f} s now, and this "
            f"side waited for a processor for {starved:.1f} s"
        )
    session.expect(
        False, "place-not-freed", f"an answer within {allowed:.1f} s", f"{after.seconds:.1f} s"
    )
    return session.outcome("")


def _hang_up(session: Session, question: str) -> None:
    try:
        session.wire(question, stop_after=2)
    except TransportError:
        return


def _echoes(session: Session) -> bool:
    """True where the model repeats a marker when nobody else asks."""
    return "marker-417" in _alone(session, "marker-417")


def _all_at_once(
    session: Session, count: int, echoes: bool
) -> tuple[dict[str, Answer | TransportError], float]:
    source = random.Random(0)  # noqa: S311 - markers, no secrets
    markers: list[str] = []
    while len(markers) < count:
        marker = f"{source.choice(WORDS)}-{source.randint(100, 999)}"
        if marker not in markers:
            markers.append(marker)
    answers: dict[str, Answer | TransportError] = {}
    # Without markers only loss can be seen, for which a few tokens are enough.
    bound = {} if echoes else {"max_tokens": 16}
    gate = threading.Barrier(count + 1)

    def one(position: int, marker: str) -> None:
        gate.wait()
        try:
            ask = session.stream if position % 2 else session.chat
            answers[marker] = ask(f"Reply with exactly: {marker}", **bound)
        except TransportError as error:
            answers[marker] = error

    threads = [
        threading.Thread(target=one, args=(i, m), daemon=True) for i, m in enumerate(markers)
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    begun = time.monotonic()
    for thread in threads:
        thread.join(max(0.1, begun + session.target.request_timeout * 2 - time.monotonic()))
    for marker in markers:
        if marker not in answers:
            answers[marker] = TransportError("timeout", "no answer at all")
    return answers, time.monotonic() - begun


def _judge(session: Session, answers: dict[str, Answer | TransportError], echoes: bool) -> None:
    own = 0
    said: dict[str, str] = {}
    for marker, answer in answers.items():
        if isinstance(answer, TransportError):
            session.expect(False, "request-lost", f"an answer to {marker}", answer.message)
            continue
        if answer.status == 429:
            continue
        session.expect(
            answer.status == 200,
            "request-failed",
            "status 200 or 429",
            f"HTTP {answer.status} {answer.error}",
        )
        said[marker] = (answer.choice.content or "") + (answer.choice.reasoning or "")
        own += marker in said[marker]
    for marker, text in said.items():
        others = [m for m in answers if m != marker and m in text]
        session.expect(
            not others,
            "answers-mixed",
            f"the answer to {marker}",
            f"the marker {', '.join(others)}",
        )
    if own == len(said) or session.findings:
        return
    missing = [m for m, text in said.items() if m not in text]
    if not echoes:
        doubt = "nothing was lost, but the model does not repeat markers: mixing cannot be seen"
        raise inconclusive(doubt) if session.promised("skill-echo") else could_not_check(doubt)
    unable = [m for m in missing[:MOST_ASKED_AGAIN] if m not in _alone(session, m)]
    if len(unable) == len(missing[:MOST_ASKED_AGAIN]):
        raise inconclusive(f"the model does not repeat {', '.join(unable)} alone either")
    session.expect(
        False,
        "answer-wrong-under-load",
        "the marker each was asked for",
        f"{len(missing)} without: {', '.join(missing[:3])}",
    )


def _alone(session: Session, marker: str) -> str:
    answer = session.chat(f"Reply with exactly: {marker}")
    return (answer.choice.content or "") + (answer.choice.reasoning or "")
