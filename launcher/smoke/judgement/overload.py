"""Answers that do not come because a server is busy: no check of something else may fail by them.

Whether and when answers come is judged by the checks that are about it: health, chat, streams,
bad requests, long prompts, load. A check of a feature that was not answered has seen nothing.
"""

from __future__ import annotations

from launcher.smoke.outcome import CheckFacts, Finding, Outcome

OVERLOADED = (429, 502, 503, 504, 529)
"""Statuses by which a server or its gateway says that it is busy; 529 is Anthropic's."""
LATE = ("timeout", "stalled")
FEATURES = frozenset({"sampling", "tools", "reasoning", "language", "dialect"})
NAMES = frozenset({"usage", "json-mode", "json-schema", "auth", "settings", "metrics"})
"""Checks of features with no tag of their own."""


def of_a_feature(check: CheckFacts) -> bool:
    """True for a check that is not about whether and when an answer comes."""
    return check.kind == "skill" or bool(check.tags & FEATURES) or check.name in NAMES


def late(check: CheckFacts, kind: str, message: str) -> Outcome:
    """The outcome of a check of a feature whose request had no whole answer in time."""
    return Outcome(
        "inconclusive",
        f"{message}: the server is overloaded, slow, or hangs with this request; "
        f"nothing was seen of {check.name!r}",
        (Finding(kind, "a whole answer", message),),
    )


def is_busy(check: CheckFacts, status: int) -> bool:
    """True where `status` says that the server is busy, which is not what `check` is about."""
    if status == 429:
        return "load" not in check.tags
    return status in OVERLOADED and of_a_feature(check)
