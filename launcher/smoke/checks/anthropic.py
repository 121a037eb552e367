"""Anthropic's dialect, where a server has it beside or instead of OpenAI's."""

from __future__ import annotations

from dataclasses import replace

from launcher.json_values import JsonObject, integer_at
from launcher.smoke.check import check
from launcher.smoke.checks.basic import GREETING, usage_adds_up
from launcher.smoke.clients.plain import PlainClient
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import REJECTED, Session


@check(
    "messages",
    "POST /v1/messages answers in Anthropic's shape",
    tags="dialect",
    needs="anthropic",
    via="http",
)
def messages(session: Session) -> Outcome:
    """Plain and streamed: text, a stop reason, usage."""
    where = replace(session.target.endpoint, dialect="anthropic")
    for stream in (False, True):
        answer = PlainClient().chat(
            where, session.body(GREETING, stream=stream), session.deadline(), session.log
        )
        session.accepted(answer)
        choice = answer.choice
        session.require(bool(choice.text), "empty-answer", "a text block", choice.content)
        reason = choice.finish_reason
        session.expect(
            reason in ("stop", "length"), "finish-reason", "end_turn or max_tokens", reason
        )
        usage_adds_up(session, answer.usage)
        if stream:
            session.expect(
                answer.done is True, "stream-done", "message_stop at the end", answer.done
            )
    return session.outcome(f"answered {choice.text[:60]!r}")


@check(
    "count-tokens",
    "count_tokens counts what the answer then charges",
    tags="dialect",
    needs="count-tokens",
    via="http",
)
def count_tokens(session: Session) -> Outcome:
    """The same prompt, counted and asked."""
    endpoint = replace(session.target.endpoint, dialect="anthropic")
    question = {"role": "user", "content": "Count to five. " * 10}
    request: JsonObject = {"model": session.target.model, "messages": [question]}
    reply = session.http(
        "POST",
        f"{endpoint.base_url}/messages/count_tokens",
        endpoint.addressed(request),
        endpoint.all_headers(),
    )
    if reply.status in REJECTED and not session.promised():
        raise could_not_check(f"the server does not count tokens (HTTP {reply.status})")
    session.require(reply.status == 200, "status", "status 200", f"HTTP {reply.status}")
    count = integer_at(reply.json(), "input_tokens")
    session.require(count is not None, "count-shape", "input_tokens", reply.text[:120])
    answer = PlainClient().chat(
        endpoint,
        session.body("Count to five. " * 10, max_tokens=8),
        session.deadline(),
        session.log,
    )
    session.accepted(answer)
    charged = answer.usage.prompt if answer.usage else None
    session.expect(
        count == charged, "count-differs", f"the {charged} tokens that the answer charges", count
    )
    return session.outcome(f"{count} tokens, as charged")
