"""Languages and bytes: Chinese, emoji, and characters that must not be cut in a stream."""

from __future__ import annotations

import re

from launcher.smoke.answers.answer import reasoning_of
from launcher.smoke.check import check
from launcher.smoke.outcome import Outcome, inconclusive
from launcher.smoke.session import Session

BEYOND_ASCII = re.compile("[^\x00-\x7f]")
CUT = re.compile("[\ufffd\ud800-\udfff]")
"""A replacement character, or half of a surrogate pair: a character that was cut."""
QUESTIONS = (
    "Greet me in English and Chinese with emoji.",
    "讲一个故事",
    "Write some emoji and Chinese characters.",
)


@check(
    "chinese",
    "a Chinese question is answered in Chinese",
    tags="quick",
    needs="chat skill-chinese",
    kind="skill",
)
def chinese(session: Session) -> Outcome:
    """A question of one fact."""
    text = session.speaks(session.answered("中国的首都是哪里？"))
    session.skill("北京" in text, "chinese", "北京 in the answer", text)
    return session.outcome(f"answered {text[:40]!r}")


@check(
    "echo-unicode",
    "emoji and Chinese come back unharmed",
    tags="language",
    needs="chat skill-emoji",
    kind="skill",
)
def echo_unicode(session: Session) -> Outcome:
    """The encoding of requests and of plain answers."""
    text = session.speaks(session.answered("Say hello with an emoji."))
    _require_whole_text(session, text)
    session.skill(BEYOND_ASCII.search(text) is not None, "emoji", "an emoji", text)
    return session.outcome(f"answered {text[:40]!r}")


@check("stream-unicode", "no character is cut in a stream", tags="quick", needs="stream")
def stream_unicode(session: Session) -> Outcome:
    """Every delta is whole text; that nothing is missing is stream-equals-plain's to say."""
    characters = 0
    for question in QUESTIONS:
        answer = session.answered(question, stream=True)
        for chunk in answer.chunks:
            for delta in chunk.deltas:
                for text in (delta.get("content"), reasoning_of(delta)):
                    _require_whole_text(session, text if isinstance(text, str) else "")
        characters += len(BEYOND_ASCII.findall(answer.choice.text))
    if not characters and not session.findings:
        raise inconclusive("the answers held nothing beyond ASCII")
    return session.outcome(f"{characters} multi-byte characters, all whole")


@check(
    "stream-bytes",
    "a stream is valid UTF-8, event by event",
    tags="quick",
    needs="stream",
    via="http",
)
def stream_bytes(session: Session) -> Outcome:
    """On the wire, where clients that decode event by event would break."""
    stream = session.wire(QUESTIONS[0])
    session.require(stream.status == 200, "status", "status 200", f"HTTP {stream.status}")
    session.expect(
        not stream.undecodable, "bytes-cut", "valid UTF-8 in every event", "broken bytes"
    )
    return session.outcome(f"{len(stream.events)} events")


def _require_whole_text(session: Session, text: str) -> None:
    cut = CUT.search(text)
    if cut and not any(f.code == "character-cut" for f in session.findings):
        session.expect(False, "character-cut", "whole characters", repr(text))
