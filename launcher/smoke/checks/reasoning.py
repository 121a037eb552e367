"""Thinking: split from the answer in both modes, counted, switched off, tags never shown."""

from __future__ import annotations

from launcher.smoke.answers.answer import Answer
from launcher.smoke.answers.template_marks import TAGS
from launcher.smoke.check import check
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import Session

QUESTION = "Which is larger, 9.11 or 9.8?"


@check(
    "reasoning", "reasoning comes apart from the answer", tags="quick reasoning", needs="reasoning"
)
def reasoning(session: Session) -> Outcome:
    """Thought in its field, answer in the content, each non-empty."""
    return _split(session, stream=False)


@check(
    "reasoning-stream",
    "reasoning comes apart from the answer in a stream",
    tags="quick reasoning",
    needs="reasoning stream",
)
def reasoning_stream(session: Session) -> Outcome:
    """Joined deltas are split the same way."""
    return _split(session, stream=True)


@check(
    "tags",
    "no tag of the template leaks into content or reasoning",
    tags="quick reasoning",
    needs="chat",
)
def tags(session: Session) -> Outcome:
    """Plain answers to a fact and to a greeting."""
    for question in (QUESTION, "Hello!"):
        _no_tags(session, session.answered(question))
    return session.outcome("no tags in plain answers")


@check(
    "tags-stream",
    "no tag of the template leaks into a stream",
    tags="quick reasoning",
    needs="stream",
)
def tags_stream(session: Session) -> Outcome:
    """Streams to a fact and to a greeting."""
    for question in (QUESTION, "Hello!"):
        _no_tags(session, session.answered(question, stream=True))
    return session.outcome("no tags in streams")


@check(
    "reasoning-usage",
    "reasoning tokens are counted alike, streamed and not",
    tags="reasoning",
    needs="reasoning usage stream-usage",
    disturbs=True,
)
def reasoning_usage(session: Session) -> Outcome:
    """Where the server counts them: above 0 where it thought, within the completion, the same."""
    plain = session.answered(QUESTION)
    streamed = session.answered(QUESTION, stream=True)
    counts = [a.usage.reasoning if a.usage else None for a in (plain, streamed)]
    if counts == [None, None]:
        raise could_not_check("the server does not count reasoning tokens")
    for answer, count, how in ((plain, counts[0], "plain"), (streamed, counts[1], "streamed")):
        thought = (answer.choice.reasoning or "").strip()
        if count is None or not thought:
            continue
        session.expect(count > 0, "reasoning-uncounted", f"reasoning tokens above 0 ({how})", count)
        if answer.usage and answer.usage.completion is not None:
            most = answer.usage.completion
            session.expect(
                count <= most,
                "reasoning-miscounted",
                f"at most the {most} of the completion",
                count,
            )
    is_equal = (plain.choice.reasoning or "").strip() == (streamed.choice.reasoning or "").strip()
    if is_equal and None not in counts:
        session.expect(
            counts[0] == counts[1],
            "reasoning-miscounted-stream",
            f"{counts[0]} reasoning tokens as plain",
            counts[1],
        )
    return session.outcome(f"{counts[0]} plain, {counts[1]} streamed")


@check(
    "thinking-off",
    "enable_thinking false turns reasoning off",
    tags="reasoning",
    needs="thinking-switch",
)
def thinking_off(session: Session) -> Outcome:
    """An answer without a thought, streamed and not."""
    off = {"enable_thinking": False}
    on = session.answered(QUESTION)
    if not (on.choice.reasoning or "").strip():
        raise could_not_check("the model does not think with the switch on either")
    for stream in (False, True):
        answer = session.answered(QUESTION, stream=stream, chat_template_kwargs=off)
        thought = (answer.choice.reasoning or "").strip()
        session.expect(not thought, "still-thinking", "no reasoning", thought)
        session.expect(bool(answer.choice.text), "empty-answer", "an answer", answer.choice.content)
        _no_tags(session, answer, ("<think>", "</think>"))
    return session.outcome("no reasoning with the switch off")


def _split(session: Session, *, stream: bool) -> Outcome:
    answer = session.answered(QUESTION, stream=stream)
    if stream:
        session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
    choice = answer.choice
    thought = (choice.reasoning or "").strip()
    _no_tags(session, answer, ("<think>", "</think>"))
    if not thought and not session.findings:
        if session.promised():
            session.require(False, "no-reasoning", "reasoning in its own field", choice.content)
        raise could_not_check("no reasoning was seen, and none was promised")
    if not choice.text:
        if choice.finish_reason == "length":
            raise inconclusive(
                "the whole token budget went into thinking: raise `smoke.max-tokens`"
            )
        session.expect(False, "answer-swallowed", "an answer after the reasoning", choice.content)
    elif thought and choice.text == thought:
        session.expect(False, "reasoning-doubled", "an answer apart from the reasoning", thought)
    elif thought and thought in choice.text and len(thought) > 20:
        session.expect(False, "reasoning-in-content", "no reasoning in the content", choice.text)
    return session.outcome(f"{len(thought)} characters of thought, then {choice.text[:60]!r}")


def _no_tags(session: Session, answer: Answer, forbidden: tuple[str, ...] = TAGS) -> None:
    choice = answer.choice
    for name, text in (("content", choice.content), ("reasoning", choice.reasoning)):
        leaked = [t for t in forbidden if t in (text or "")]
        session.expect(
            not leaked,
            f"tags-in-{name}",
            f"no template tags in the {name}",
            f"{', '.join(leaked)} in {text!r}",
        )
