"""What the server tells of itself: metrics that move, settings that are the profile's."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from launcher.json_values import JsonValue, at, is_list
from launcher.smoke.check import check
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import Session

SETTLE_SECONDS = 10.0
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})?\s+([0-9.eE+-]+|NaN|[+-]?Inf)$")
TOKENS = re.compile(
    r"(generation_tokens|completion_tokens|prompt_tokens)[a-z_]{0,80}(_total|_sum)$"
)
REQUESTS = re.compile(r"(request_success|requests_number|requests?)[a-z_]{0,80}(_total|_count)$")


@check(
    "metrics",
    "Prometheus counters move with the traffic",
    tags="quick",
    needs="metrics",
    via="http",
    disturbs=True,
)
def metrics(session: Session) -> Outcome:
    """Tokens counted before and after a question; requests where the server counts no tokens.

    A counter that our own scrapes move says nothing of the traffic. Servers may write theirs a
    moment after the answer, so the second look is repeated for a while.
    """
    first = _scrape(session)
    before = _scrape(session)
    by_scrapes = {n for n in before if before[n] > first.get(n, 0.0)}
    session.answered("Hello!", max_tokens=16)
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        after = _scrape(session)
        tokens = [n for n in after if TOKENS.search(n)]
        counters = tokens or [n for n in after if REQUESTS.search(n) and n not in by_scrapes]
        moved = [n for n in counters if after[n] > before.get(n, 0.0)]
        if moved or time.monotonic() > end:
            break
        time.sleep(0.2)
    session.expect(
        bool(moved),
        "metrics-still",
        f"a counter of {'tokens' if tokens else 'requests'} that moved",
        f"{len(after)} samples; still: {', '.join(counters[:4]) or 'no such counter'}",
    )
    fallen = [n for n in before if n.endswith("_total") and after.get(n, 0.0) < before[n]]
    session.expect(not fallen, "metrics-fell", "counters that never fall", fallen[:4])
    return session.outcome(
        f"{len(moved)} counters moved, among them {sorted(moved)[0]}" if moved else ""
    )


@check(
    "settings",
    "the server's own settings equal the profile",
    tags="quick",
    needs="settings",
    via="http",
)
def settings(session: Session) -> Outcome:
    """Each setting that the plan knows where to read."""
    url = session.target.settings_url
    if url is None or not session.target.settings:
        raise could_not_check("the target's settings are not known, or it does not tell its own")
    reply = session.http("GET", url)
    session.require(reply.status == 200, "status", "status 200", f"HTTP {reply.status}")
    body = reply.json()
    is_document = isinstance(body, Mapping) or is_list(body)
    session.require(is_document, "settings-shape", "JSON", reply.text[:80])
    for key, (expected, pointer) in session.target.settings.items():
        got = _walk(body, pointer)
        is_equal = str(got) == str(expected) or got == expected
        session.expect(is_equal, "settings-differ", f"{key} = {expected!r}", repr(got))
    return session.outcome(f"{len(session.target.settings)} settings as in the profile")


def _scrape(session: Session) -> dict[str, float]:
    url = session.target.metrics_url
    if url is None:
        raise could_not_check("the target has no metrics")
    reply = session.http("GET", url)
    if reply.status in (401, 403, 404, 405) and not session.promised():
        raise could_not_check(f"the server has no open metrics (HTTP {reply.status})")
    session.require(reply.status == 200, "status", "status 200", f"HTTP {reply.status}")
    sums: dict[str, float] = {}
    for line in reply.text.splitlines():
        match = SAMPLE.match(line.strip())
        if match and match[3] != "NaN":
            sums[match[1]] = sums.get(match[1], 0.0) + float(match[3])
    session.require(bool(sums), "metrics-shape", "Prometheus text", reply.text[:80])
    return sums


def _walk(value: JsonValue, pointer: str) -> JsonValue:
    for word in pointer.strip("/").split("/"):
        value = at(value, int(word) if is_list(value) and word.isdecimal() else word)
    return value
