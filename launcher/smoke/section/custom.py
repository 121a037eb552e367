"""Checks written in YAML: a request, and what its answer must be."""

from __future__ import annotations

import re

from launcher.json_values import (
    JsonObject,
    JsonValue,
    integer_at,
    list_at,
    object_at,
    text_at,
    texts_at,
)
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import Check
from launcher.smoke.judgement.schema import violations
from launcher.smoke.outcome import Outcome
from launcher.smoke.section.limits import judge_limits
from launcher.smoke.session import Session
from launcher.smoke.target import Target


def custom_checks(target: Target) -> list[Check]:
    """The checks that the profile adds under `smoke.custom`."""
    return [check_of(object_at(item)) for item in list_at(target.smoke, "custom")]


def check_of(item: JsonObject) -> Check:
    """The check that `smoke.custom` describes; the section has been validated."""
    expectations = object_at(item, "expect")

    def ask(session: Session) -> Outcome:
        request = dict(object_at(item, "request"))
        messages = list_at(request.pop("messages", None))
        stream = bool(request.pop("stream", False)) or bool(item.get("stream"))
        answer = (session.stream if stream else session.chat)(messages, **request)
        _judge(session, answer, expectations)
        measures = {"seconds": answer.seconds}
        if answer.first_token is not None:
            measures["first_token_seconds"] = answer.first_token
        if answer.usage and answer.usage.completion and answer.seconds > 0:
            measures["tokens_per_second"] = answer.usage.completion / answer.seconds
        session.measures.update(measures)
        judge_limits(session, expectations)
        return session.outcome(f"answered {answer.choice.text[:60]!r}", **measures)

    return Check(
        name=text_at(item, "name"),
        purpose=text_at(item, "purpose", default="as the profile asks"),
        function=ask,
        tags=frozenset(map(str, list_at(item, "tags"))) | {"full", "custom"},
        needs=texts_at(item, "needs"),
        kind="skill",
    )


def _judge(session: Session, answer: Answer, expect: JsonObject) -> None:
    expected_status = integer_at(expect, "status")
    status = 200 if expected_status is None else expected_status
    session.require(
        answer.status == status, "status", f"HTTP {status}", f"HTTP {answer.status} {answer.error}"
    )
    choice = answer.choice
    for key, text in (("matches", choice.text), ("reasoning", choice.reasoning or "")):
        if key in expect:
            is_expected = re.search(str(expect[key]), text) is not None
            session.expect(is_expected, "unexpected-answer", f"{key} {expect[key]!r}", text)
    if "finish-reason" in expect:
        reason = choice.finish_reason
        expected_reason = expect["finish-reason"]
        session.expect(
            reason == expected_reason, "finish-reason", f"finish_reason {expected_reason}", reason
        )
    if "tool" in expect:
        names = [c.name for c in choice.calls]
        session.expect(
            expect["tool"] in names, "no-tool-call", f"a call of {expect['tool']}", names
        )
    if "json-schema" in expect:
        try:
            value: JsonValue = loads(choice.text, strict=False)
            wrong = violations(value, object_at(expect, "json-schema"))
        except ValueError as error:
            wrong = [str(error)]
        session.expect(not wrong, "json-schema", "an answer valid against the schema", wrong)
