"""Many at once: nothing lost, nothing mixed, and a client that goes away frees its place."""

from __future__ import annotations

import threading

from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import check
from launcher.smoke.checks.crowd import alone, at_once, judge
from launcher.smoke.clients.base import TransportError
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import Session

SEATS = 8
"""Requests at once where the target does not say how many it takes."""
MOST = 256
"""Requests at once at most: beyond, this side would be what is tested."""
DISCONNECT_TRIES = 2


@check(
    "concurrency",
    "as many requests as seats: each gets its own answer",
    tags="load",
    needs="chat",
    disturbs=True,
)
def concurrency(session: Session) -> Outcome:
    """All answered, none with another's answer, half of them streamed."""
    count = min(session.target.max_num_seqs or SEATS, MOST)
    crowd = alone(session)
    answers, seconds = at_once(session, count, crowd)
    refused = [a for a in answers.values() if isinstance(a, Answer) and a.status == 429]
    session.expect(
        not refused, "refused-within-seats", f"{count} answers", f"{len(refused)} of 429"
    )
    judge(session, answers, crowd)
    return session.outcome(f"{count} at once in {seconds:.2f} s", seconds=seconds)


@check(
    "over-capacity",
    "requests beyond the seats are queued or get a 429",
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
    crowd = alone(session)
    answers, seconds = at_once(session, count, crowd)
    refused = sum(isinstance(a, Answer) and a.status == 429 for a in answers.values())
    session.expect(refused < count, "all-refused", "answers", "429 for every request")
    judge(session, answers, crowd)
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
    full_seconds = session.answered(long).seconds
    allowed = max(5.0, 5 * before, before + full_seconds / 2)
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
    calm = session.answered("Hello!").seconds
    if starved > allowed / 2 or calm > allowed / 2:
        raise inconclusive(
            f"answered after {after.seconds:.1f} s, but alone it takes {calm:.1f} s now, and this "
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
