"""Bad requests: an error in bounded time, and the server well afterwards."""

from __future__ import annotations

from launcher.json_values import JsonValue, at
from launcher.smoke.check import check
from launcher.smoke.clients.wire import Reply
from launcher.smoke.outcome import Outcome
from launcher.smoke.session import Session, shorten

HELLO = [{"role": "user", "content": "Hello!"}]
HUGE = 2 * 1024 * 1024
"""Bytes of the huge body: above the default limit of common proxies (1 MiB), cheap to send."""


@check(
    "bad-request",
    "a request without messages is refused, not left waiting",
    tags="quick security",
    via="http",
)
def bad_request(session: Session) -> Outcome:
    """The most common mistake of a client."""
    return _refused(session, {"model": session.target.model})


@check("bad-empty-messages", "an empty list of messages is an error", tags="security", via="http")
def bad_empty(session: Session) -> Outcome:
    """Nothing to answer."""
    return _refused(session, _body(session, messages=[]))


@check("bad-types", "wrong types are an error", tags="security", via="http")
def bad_types(session: Session) -> Outcome:
    """Messages that are a string, max_tokens that is a word."""
    for body in (_body(session, messages="Hello!"), _body(session, max_tokens="many")):
        _refused(session, body)
    return session.outcome("both refused, and well afterwards")


@check("bad-max-tokens", "max_tokens below 1 is an error", tags="security", via="http")
def bad_max_tokens(session: Session) -> Outcome:
    """A negative number of tokens."""
    return _refused(session, _body(session, max_tokens=-1))


@check("bad-json", "malformed JSON is an error", tags="security", via="http")
def bad_json(session: Session) -> Outcome:
    """A body cut in the middle."""
    return _refused(session, b'{"model": "x", "messages": [{"role": "user", "con')


@check(
    "bad-model",
    "an unknown model name is an error",
    tags="security",
    via="http",
    needs="unknown-model-error",
)
def bad_model(session: Session) -> Outcome:
    """A name that is not served."""
    return _refused(session, _body(session, model="no-such-model-4e1f"))


@check("unknown-field", "an unknown field breaks nothing", tags="security", via="http")
def unknown_field(session: Session) -> Outcome:
    """Answered as if it were not there, or refused with an error that says so."""
    reply = session.raw_chat(_body(session, no_such_field_4e1f=True))
    if reply.status == 200:
        return session.outcome("ignored")
    _is_error(session, reply)
    _well(session)
    return session.outcome(f"refused with HTTP {reply.status}")


@check(
    "huge-body",
    "a body of 2 MiB is answered in bounded time",
    tags="security",
    via="http",
    disturbs=True,
)
def huge_body(session: Session) -> Outcome:
    """Refused or ignored, and the server well afterwards.

    The bytes are in a message only where a limit of the context is promised: elsewhere (measured
    on transformers serve 5.23) the server would really begin to compute them.
    """
    limited = session.target.promised("context-limit-error") is True
    if limited:
        body = _body(session, messages=[{"role": "user", "content": "a b c d " * (HUGE // 8)}])
    else:
        body = _body(session, no_such_field_4e1f="a" * HUGE)
    reply = session.raw_chat(body)
    if reply.status != 200 or limited:
        _is_error(session, reply)
    _well(session)
    return session.outcome(f"HTTP {reply.status} after {reply.seconds:.2f} s, and well afterwards")


def _body(session: Session, **changes: JsonValue) -> dict[str, JsonValue]:
    body = session.wired(session.body(HELLO, max_tokens=8))
    body.update(changes)
    return body


def _refused(session: Session, body: JsonValue | bytes) -> Outcome:
    reply = session.raw_chat(body)
    _is_error(session, reply)
    _well(session)
    return session.outcome(f"HTTP {reply.status} after {reply.seconds:.2f} s, and well afterwards")


def _is_error(session: Session, reply: Reply) -> None:
    summary = f"HTTP {reply.status} {shorten(reply.text, 120)}"
    session.require(reply.status >= 400, "error-accepted", "an error", summary)
    session.expect(
        400 <= reply.status < 500,
        "client-error-5xx",
        "a status of 4xx for a client's error",
        summary,
    )
    body = reply.json()
    explains = any(at(body, k) for k in ("error", "detail", "message", "messege", "object"))
    session.expect(
        explains or reply.status == 413,
        "error-unexplained",
        "a JSON body that says what is wrong",
        summary,
    )
    session.expect(
        "Traceback (most recent" not in reply.text,
        "error-traceback",
        "no traceback in the error",
        summary,
    )


def _well(session: Session) -> None:
    after = session.raw_chat(_body(session))
    session.expect(
        after.status == 200,
        "unwell-afterwards",
        "an ordinary answer afterwards",
        f"HTTP {after.status} {shorten(after.text, 120)}",
    )
