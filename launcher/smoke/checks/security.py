"""Keys: without the right one nothing is answered."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.json_values import JsonValue, at
from launcher.smoke.check import check
from launcher.smoke.checks.errors import HELLO
from launcher.smoke.clients.base import TransportError
from launcher.smoke.clients.transcript import WRONG_KEY
from launcher.smoke.judgement.overload import OVERLOADED
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import Session

USUAL = ("HTTP 401", "HTTP 403")


@check(
    "auth",
    "only the right key is accepted",
    tags="quick security",
    via="http",
)
def auth(session: Session) -> Outcome:
    """401 or 403 on the chat route is usual; any refusal counts that only the key explains."""
    endpoint = session.target.endpoint
    if not endpoint.guarded:
        if session.target.promised("auth") is True:
            raise could_not_check("the server wants a key, and none was given (--api-key)")
        raise could_not_check("no key was given, so there is nothing to compare")
    body = session.body(HELLO, max_tokens=8)
    right = session.raw_chat(session.wired(body))
    session.require(
        right.status == 200, "right-key-refused", "200 with the right key", f"HTTP {right.status}"
    )
    refusals = []
    for name, key in (("missing", None), ("wrong", WRONG_KEY)):
        wrong_key = endpoint.with_key(key)
        headers = {**endpoint.headers, **wrong_key.auth_headers()}
        request = session.wired(body, wrong_key)
        refusal = _refusal(session, request, headers)
        if refusal is None:
            session.expect(
                False, f"{name}-key-accepted", f"401 with a {name} key", "an answer with HTTP 200"
            )
            continue
        if refusal not in USUAL:
            _by_the_key(session, refusal, name, request, headers)
        refusals.append(f"{name}: {refusal}")
    return session.outcome(f"only the right key is taken ({', '.join(refusals)})")


def _refusal(session: Session, body: JsonValue, headers: Mapping[str, str]) -> str | None:
    """How a request is refused; None where it is answered."""
    try:
        reply = session.raw_chat(body, headers)
    except TransportError as error:
        if error.kind == "redirected":
            return "sent to another address"
        raise
    if reply.status != 200:
        return f"HTTP {reply.status}"
    # Some gateways put their refusal into the body of a 200.
    answer = reply.json()
    refused = not (at(answer, "choices") or at(answer, "content"))
    return "an error in the body of HTTP 200" if refused else None


def _by_the_key(
    session: Session, refusal: str, name: str, body: JsonValue, headers: Mapping[str, str]
) -> None:
    """Go on where it is the key that is refused: any status will do, the same one twice.

    Raises:
        Stop: the right key fails now, too, or the refusal was chance.
    """
    if refusal in [f"HTTP {status}" for status in OVERLOADED]:
        raise inconclusive(f"{refusal} with a {name} key: the server may be overloaded")
    again = _refusal(session, body, headers)
    right = session.raw_chat(session.wired(session.body(HELLO, max_tokens=8)))
    if again != refusal or right.status != 200:
        raise inconclusive(
            f"with a {name} key: {refusal}, then {again or 'an answer'}; "
            f"with the right key: HTTP {right.status}"
        )
