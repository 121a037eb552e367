"""The time of a stream: that chunks arrive while the answer is generated."""

from __future__ import annotations

from itertools import pairwise

from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT
from launcher.smoke.checks.streaming import text_of
from launcher.smoke.outcome import Outcome, inconclusive
from launcher.smoke.session import Session

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
        times = [c.at for c in answer.chunks if any(text_of(d) for d in c.choices)]
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


def _short(answer: Answer) -> bool:
    return len(answer.choice.text) + len(answer.choice.reasoning or "") < 16
