"""Where an answer ends: stop strings in every form, and the newer name of the token limit."""

from __future__ import annotations

from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT, stop_string
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import REJECTED, Session

NEVER = "\u00a7\u00a7"
"""A stop string that no answer holds: it must not take the place of the others. FastDeploy takes at
most five, of at most eight tokens each."""
LIMIT = 8


@check(
    "stop-forms",
    "stop strings work in every form, plain and streamed",
    tags="quick",
    needs="stop",
    disturbs=True,
)
def stop_forms(session: Session) -> Outcome:
    """The answer ends before the string, and nothing of the string is shown."""
    free = session.answered(COUNT)
    text = session.speaks(free)
    word = stop_string(text, free.choice.reasoning or "")
    if word is None:
        raise inconclusive(f"the answer holds nothing to stop at: {text[:80]!r}")
    before, _, after = text.partition(word)
    long = word + after[:3] if len(word) == 1 else word
    later = after[4:10]
    forms: list[tuple[str, str | list[str], str, bool]] = [
        ("as a text", word, word, False),
        ("as the second of two", [NEVER, word], word, False),
        ("as the last of four", [NEVER, "\u00a71", "\u00a72", word], word, False),
        ("longer than a token", [long], long, False),
    ]
    if session.target.promised("stream") is not False:
        forms += [
            ("in a stream", [word], word, True),
            ("in a stream, as the second of two", [NEVER, word], word, True),
            ("in a stream, longer than a token", [long], long, True),
        ]
    if later.strip() and later not in before + word and later not in (free.choice.reasoning or ""):
        forms.append(("the earlier of two", [later, word], word, False))
    for how, stop, mark, stream in forms:
        _judge(session, session.answered(COUNT, stop=stop, stream=stream), how, mark, before)
    return session.outcome(f"{len(forms)} forms stopped before {word!r}")


def _judge(session: Session, answer: Answer, how: str, mark: str, before: str) -> None:
    kept = answer.choice.content or ""
    end = kept.rstrip()
    last = before[-4:].strip()
    if mark in kept:
        goes_on = kept.partition(mark)[2].strip()
        code = "stop-ignored" if goes_on else "stop-included"
        session.expect(False, code, f"nothing from the stop string {mark!r} on ({how})", kept)
        return
    session.expect(last in kept, "stop-early", f"the text before the stop string ({how})", kept)
    if last in kept:
        more = end[end.rindex(last) + len(last) :].strip()
        leaked = bool(more) and (mark.startswith(more) or more.startswith(mark[0]))
        session.expect(
            not leaked,
            "stop-prefix-leaked",
            f"nothing of the stop string {mark!r} ({how})",
            f"{more!r} at the end of {kept!r}",
        )
    reason = answer.choice.finish_reason
    session.expect(reason == "stop", "finish-reason", f"finish_reason stop ({how})", reason)


@check(
    "max-completion-tokens",
    "max_completion_tokens (the newer name) is honoured",
    tags="quick",
    needs="max-tokens",
)
def max_completion_tokens(session: Session) -> Outcome:
    """Official clients send this name; plain and streamed."""
    streams = session.target.promised("stream") is not False
    for stream in (False, True) if streams else (False,):
        ask = session.stream if stream else session.chat
        answer = ask(COUNT, max_tokens=None, max_completion_tokens=LIMIT)
        if answer.status in REJECTED:
            raise could_not_check(f"the server does not take this name (HTTP {answer.status})")
        session.accepted(answer)
        length = len(answer.choice.text) + len((answer.choice.reasoning or "").strip())
        completion_tokens = answer.usage.completion if answer.usage else None
        over = (completion_tokens is not None and completion_tokens > LIMIT) or length > LIMIT * 16
        session.expect(
            not over,
            "max-completion-tokens-ignored",
            f"at most {LIMIT} completion tokens",
            f"{completion_tokens} tokens, {length} characters",
        )
        reason = answer.choice.finish_reason
        session.expect(reason == "length", "finish-reason", "finish_reason length", reason)
    return session.outcome(f"cut at {LIMIT} tokens with length")
