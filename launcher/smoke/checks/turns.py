"""Reasoning stays apart where a conversation goes on: second turns, tools, results of tools."""

from __future__ import annotations

import json

from launcher.json_values import JsonObject
from launcher.smoke.answers.answer import Answer
from launcher.smoke.answers.template_marks import without_tags
from launcher.smoke.check import check
from launcher.smoke.checks.toolbox import CARD_QUESTION, WEATHER
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import Messages, Session

QUESTION = "What is the capital of France?"
RESULT = {"temperature": 17, "condition": "stormy"}
TAGS = ("<think>", "</think>")
BEGINNING = 10
"""Characters with which a model's thoughts begin, such as `The user `."""


@check(
    "reasoning-turns",
    "reasoning stays apart on later turns and with tools",
    tags="quick reasoning",
    needs="reasoning",
)
def reasoning_turns(session: Session) -> Outcome:
    """The same split as in the first turn, plain and streamed."""
    first = session.answered(QUESTION)
    thought = (first.choice.reasoning or "").strip()
    if not thought:
        if session.promised():
            session.require(False, "no-reasoning", "reasoning in its field", first.choice.content)
        raise could_not_check("no reasoning was seen in the first turn, and none was promised")
    history = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello! How can I help you today?"},
        {"role": "user", "content": QUESTION},
    ]
    streams = session.target.promised("stream") is not False
    tools = session.target.promised("tools") is not False
    results: list[tuple[Answer, str]] = []
    for stream in (False, True) if streams else (False,):
        how = "streamed" if stream else "plain"
        _judge(session, session.answered(history, stream=stream), first, f"turn 2, {how}")
        if not tools or (stream and session.target.promised("tools-stream") is False):
            continue
        ask = session.stream if stream else session.chat
        offered = ask(QUESTION, tools=[WEATHER], tool_choice="auto")
        if offered.status == 200 and not offered.choice.calls:
            _judge(session, offered, first, f"tools present, {how}")
        after = ask(_conversation(), tools=[WEATHER], tool_choice="auto")
        if after.status == 200 and not after.choice.calls:
            results.append((after, f"after a tool's result, {how}"))
    # The answer that split its thought shows what the other should have been.
    split = next((a for a, _ in results if (a.choice.reasoning or "").strip()), None)
    for answer, where in results:
        _judge(session, answer, split, where)
        _begins_as_thought(session, answer, first, where)
    return session.outcome(f"{len(thought)} characters of thought, apart in every turn")


def _conversation() -> Messages:
    function = {
        "name": "get_weather",
        "arguments": json.dumps({"location": "Beijing", "unit": "c"}),
    }
    call: JsonObject = {"id": "call_1", "type": "function", "function": function}
    return [
        {"role": "user", "content": CARD_QUESTION},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": json.dumps(RESULT)},
    ]


def _begins_as_thought(session: Session, answer: Answer, first: Answer, where: str) -> None:
    """An answer without a thought that begins as the first turn's thought did, not its answer."""
    if (answer.choice.reasoning or "").strip() or session.findings:
        return
    start = without_tags(first.choice.reasoning or "")[:BEGINNING]
    text = without_tags(answer.choice.text)
    own = without_tags(first.choice.text).startswith(start)
    session.expect(
        own or not text.startswith(start),
        "reasoning-in-content",
        f"no reasoning in the content ({where})",
        text,
    )


def _judge(session: Session, answer: Answer, first: Answer | None, where: str) -> None:
    """`first` is the answer to the same question in another setting."""
    choice = answer.choice
    content, thought = without_tags(choice.text), without_tags(choice.reasoning or "")
    leaked = [t for t in TAGS if t in (choice.content or "") + (choice.reasoning or "")]
    session.expect(not leaked, "tags-in-content", f"no template tags ({where})", choice.content)
    if leaked or choice.finish_reason == "length":
        return
    doubled = len(thought) > 20 and thought in content and content != thought
    merged = False
    if first is not None and not thought:
        own, before = without_tags(first.choice.text), without_tags(first.choice.reasoning or "")
        merged = content != own and (content.endswith(own) or content.startswith(before[:20]))
    session.expect(
        not (doubled or merged),
        "reasoning-in-content",
        f"no reasoning in the content ({where})",
        content,
    )
    if not thought and not merged and session.promised():
        session.expect(False, "no-reasoning", f"reasoning in its own field ({where})", content)
    if thought and not content and not choice.calls:
        session.expect(False, "answer-swallowed", f"an answer after it ({where})", thought)
