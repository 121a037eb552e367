"""Every answer of the run, looked at once more: shape, ids, counts, and what is wrong now and then.

Runs last: the answers that the other checks got are judged here, beside a few of its own.
"""

from __future__ import annotations

from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT, GREETING
from launcher.smoke.checks.toolbox import CARD_QUESTION, WEATHER
from launcher.smoke.judgement import ledger
from launcher.smoke.outcome import Outcome
from launcher.smoke.session import Session

STREAMS = 12
"""Short streams of one question: so many show what goes wrong once in six with 90 %."""


@check(
    "every-answer",
    "every answer has the right shape, id and counts",
    tags="quick",
    disturbs=True,
)
def every_answer(session: Session) -> Outcome:
    """Plain and streamed, whole and cut, with tools and without, and all that others asked."""
    streams = session.target.promised("stream") is not False
    for stream in (False, True) if streams else (False,):
        session.answered(GREETING, stream=stream)
        session.answered(COUNT, stream=stream, max_tokens=8)
        session.answered("What is the capital of France?", stream=stream)
        needed = "tools-stream" if stream else "tools"
        if session.target.promised(needed) is not False:
            _with_tools(session, stream)
    for _ in range(STREAMS if streams else 0):
        session.answered(GREETING, stream=True, max_tokens=32)
    mine = session.ledger.of(session.client.name)
    session.findings += ledger.judge(mine, session.target)
    return session.outcome(f"{len(mine)} answers, {len({e.check for e in mine})} checks")


def _with_tools(session: Session, stream: bool) -> None:
    """A server may refuse tools that were not promised: tool-call reports that."""
    ask = session.stream if stream else session.chat
    for question in (CARD_QUESTION, CARD_QUESTION.replace("Beijing", "Paris")):
        ask(question, tools=[WEATHER], tool_choice="auto")
