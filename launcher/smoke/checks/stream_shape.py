"""Streams of several choices: each in order, whole and ended, none mixed into another."""

from __future__ import annotations

from launcher.smoke.check import check
from launcher.smoke.checks.sampling import DRAW
from launcher.smoke.outcome import Outcome
from launcher.smoke.session import Session


@check(
    "n-stream",
    "n gives n choices in a stream, each with its own index",
    tags="sampling",
    needs="n stream",
)
def n_stream(session: Session) -> Outcome:
    """Three choices, told apart by their index alone."""
    answer = session.answered(DRAW, n=3, temperature=1.5, top_p=1.0, max_tokens=64, stream=True)
    session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
    indices = [c.index for c in answer.choices]
    session.require(indices == [0, 1, 2], "n-choices", "choices 0, 1 and 2", indices)
    texts = [(c.content or "") + (c.reasoning or "") for c in answer.choices]
    session.expect(all(texts), "empty-answer", "a text in each choice", texts)
    session.expect(len(set(texts)) > 1, "n-copies", "choices that differ", "three times the same")
    ends = [c.finish_reason for c in answer.choices]
    session.expect(all(ends), "finish-reason", "a finish_reason on each choice", ends)
    roles = [c.role for c in answer.choices]
    session.expect(set(roles) == {"assistant"}, "role", "role assistant on each choice", roles)
    return session.outcome("three choices")
