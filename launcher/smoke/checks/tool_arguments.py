"""Long arguments of a call: whole, with every character, streamed as plain."""

from __future__ import annotations

from launcher.json_values import JsonObject, text_at
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import check
from launcher.smoke.checks.toolbox import parameters_of
from launcher.smoke.judgement.schema import violations
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import REJECTED, Session

NOTE = (
    'Call Mr. "Smith" (room 12\\B) at 9:30; bring 3 apples & <two> pears. '
    "北京的天气很好，我们去看长城。 🙂🚀 "
    "Then walk along the river, past the old stone bridge and the mill, to the market square. "
    "Ask there for the blue door; the key is under the third pot from the left."
)
"""Quotes, a backslash, angle brackets, characters of two to four bytes, some 270 in all."""
SAVE: JsonObject = {
    "type": "function",
    "function": {
        "name": "save_note",
        "description": "Save a note word for word",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "The whole note"}},
            "additionalProperties": False,
            "required": ["text"],
        },
    },
}


@check(
    "tool-arguments",
    "long arguments arrive whole, with quotes and emoji",
    tags="tools",
    needs="tools",
)
def tool_arguments(session: Session) -> Outcome:
    """The model copies a note into a call; one that cannot shows nothing."""
    streams = session.target.promised("tools-stream") is not False
    copied: list[str] = []
    for stream in (False, True) if streams else (False,):
        ask = session.stream if stream else session.chat
        answer = ask(f"Save this note word for word: {NOTE}", tools=[SAVE], tool_choice="auto")
        if answer.status in REJECTED and not session.promised():
            raise could_not_check(f"the server takes no tools (HTTP {answer.status})")
        session.accepted(answer)
        how = "streamed" if stream else "plain"
        text = _text(session, answer, how)
        if text is not None:
            copied.append(text)
    if copied and not all(t.strip() == NOTE for t in copied) and not session.findings:
        raise could_not_check(f"the model did not copy the note: {copied[0][:80]!r}")
    if not copied and not session.findings:
        raise could_not_check("the model made no whole call with the note")
    return session.outcome(f"{len(NOTE)} characters, {len(copied)} times")


def _text(session: Session, answer: Answer, how: str) -> str | None:
    """The note in the call; None without a call, or with one that the budget cut."""
    choice = answer.choice
    if not choice.calls or choice.finish_reason == "length":
        return None
    call = choice.calls[0]
    try:
        arguments = loads(call.arguments, strict=False)
    except ValueError:
        session.expect(False, "tool-json", f"arguments that are JSON ({how})", call.arguments)
        return None
    wrong = violations(arguments, parameters_of(SAVE))
    if not session.expect(
        not wrong, "tool-schema", f"arguments valid against the schema ({how})", "; ".join(wrong)
    ):
        return None
    text = text_at(arguments, "text")
    cut = len(text) > 20 and text != NOTE and NOTE.startswith(text)
    session.expect(not cut, "tool-arguments-cut", f"the whole note ({how})", text)
    session.expect("\ufffd" not in text, "character-cut", f"whole characters ({how})", text)
    return text
