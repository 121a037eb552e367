"""Keys: without the right one nothing is answered."""

from __future__ import annotations

from launcher.smoke.check import Outcome, check, could_not_check
from launcher.smoke.checks.errors import HELLO
from launcher.smoke.session import Session

WRONG = "ernie-deploy-wrong-key"


@check(
    "auth",
    "a missing and a wrong key are refused, the right one is taken",
    tags="quick security",
    via="http",
)
def auth(session: Session) -> Outcome:
    """401 or 403 on the chat route; model lists are open at some hosts."""
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
    for name, key in (("missing", None), ("wrong", WRONG)):
        other = endpoint.with_key(key)
        headers = {**endpoint.headers, **other.auth_headers()}
        reply = session.raw_chat(session.wired(body, other), headers)
        session.expect(
            reply.status in (401, 403),
            f"{name}-key-accepted",
            f"401 with a {name} key",
            f"HTTP {reply.status}",
        )
    return session.outcome("only the right key is taken")
