"""Structured answers: JSON mode and JSON schema."""

from __future__ import annotations

from launcher.json_values import JsonObject, JsonValue
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import check
from launcher.smoke.judgement.schema import violations
from launcher.smoke.outcome import Outcome
from launcher.smoke.session import Session

PERSON: JsonObject = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ODD: JsonObject = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
"""A schema that is not met by chance: only enforcement gives it."""


@check("json-mode", "response_format json_object gives JSON", tags="quick", needs="json-mode")
def json_mode(session: Session) -> Outcome:
    """An object and nothing else, streamed and not."""
    for stream in (False, True):
        answer = session.answered(
            "Give me a person as JSON with name and age.",
            response_format={"type": "json_object"},
            stream=stream,
        )
        value = _parsed(session, answer)
        session.expect(isinstance(value, dict), "json-mode", "a JSON object", answer.choice.content)
    return session.outcome("a JSON object, streamed and not")


@check("json-schema", "response_format json_schema is enforced", tags="quick", needs="json-schema")
def json_schema(session: Session) -> Outcome:
    """A question that asks for the schema, and a greeting that does not; plain and streamed."""
    prompt = "Give me a person as JSON with name and age."
    streams = session.target.promised("stream") is not False
    for question, schema in ((prompt, PERSON), ("Hello!", ODD)):
        for stream in (False, True) if streams else (False,):
            schema_format: JsonObject = {"name": "answer", "strict": True, "schema": schema}
            answer = session.answered(
                question,
                response_format={"type": "json_schema", "json_schema": schema_format},
                stream=stream,
            )
            value = _parsed(session, answer)
            if value is None:
                continue
            wrong = violations(value, schema)
            how = "streamed" if stream else "plain"
            expected = f"an answer valid against the schema ({how})"
            session.expect(not wrong, "json-schema", expected, "; ".join(wrong))
    return session.outcome("valid against the schema, asked for in words and not")


def _parsed(session: Session, answer: Answer) -> JsonValue:
    text = session.speaks(answer)
    try:
        value: JsonValue = loads(text, strict=False)
    except ValueError:
        session.expect(False, "json-broken", "JSON and nothing else", text)
        return None
    return value
