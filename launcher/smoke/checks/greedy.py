"""Temperature 0 takes the likeliest token: asked again alone, a question gets the same answer."""

from __future__ import annotations

from launcher.smoke.check import check
from launcher.smoke.checks.sampling import DRAW
from launcher.smoke.outcome import Outcome, inconclusive
from launcher.smoke.session import Session

DRAWS = 6
REQUEST_COUNT = 4
"""Different answers in six: rounding under a changing load makes two, rarely three."""


@check(
    "greedy",
    "temperature 0 repeats its answer on an idle server",
    tags="sampling",
    needs="chat",
    disturbs=True,
)
def greedy(session: Session) -> Outcome:
    """A question whose answer is a draw wherever tokens are drawn."""
    texts = set()
    for _ in range(DRAWS):
        choice = session.answered(DRAW, max_tokens=64, temperature=0).choice
        texts.add(f"{choice.reasoning or ''}|{choice.content or ''}")
    session.expect(
        len(texts) < REQUEST_COUNT,
        "temperature-0-varies",
        f"one answer in {DRAWS} draws at temperature 0",
        f"{len(texts)} different ones",
    )
    if len(texts) > 1 and not session.findings:
        raise inconclusive(f"{len(texts)} different answers in {DRAWS} draws at temperature 0")
    return session.outcome(f"the same answer in {DRAWS} draws")
