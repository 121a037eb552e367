"""Whether an engine that failed is started again, and when: a pure function of what happened.

The clock of `decide` stands still while an engine loads. A crash loop of an engine that takes ten
minutes to load would otherwise leave every window before its budget is used up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from launcher.plan.restart import RestartPolicy

Reason = Literal["first-start", "policy", "cause", "budget"]


@dataclass(frozen=True)
class RunEnd:
    """How one run of the engine failed.

    `first`: it was the run that `up` asked for. `ready_seconds`: how long it was ready, 0 where it
    never was. `retry`: nothing shows that another start, unchanged, cannot help.
    """

    first: bool
    was_ready: bool
    ready_seconds: float
    retry: bool


@dataclass(frozen=True)
class History:
    """The restarts that still count.

    `times` are when they were decided, by the clock of `decide`; `streak` is how many there were
    since the engine was last ready for a whole window.
    """

    times: tuple[float, ...] = ()
    streak: int = 0


@dataclass(frozen=True)
class StartAgain:
    """Start after `delay` seconds; it is restart `number` of the window. `history` includes it."""

    delay: float
    number: int
    history: History


@dataclass(frozen=True)
class GiveUp:
    """Do not start again; `message` completes a sentence about the failure, empty: no addition."""

    reason: Reason
    message: str = ""


def decide(
    policy: RestartPolicy, history: History, end: RunEnd, now: float, draw: Callable[[], float]
) -> StartAgain | GiveUp:
    """What follows the failure `end`, at `now`.

    `draw` returns a random number from 0 to 1.
    """
    if end.first and not end.was_ready:
        return GiveUp("first-start")  # the answer of `up`: who waits for it decides
    if policy.policy == "never" or policy.max_restarts < 1:
        return GiveUp("policy")
    if policy.policy == "on-failure" and not end.retry:
        return GiveUp("cause", "not restarted: another start cannot help")
    recent = tuple(time for time in history.times if now - time < policy.window)
    if len(recent) >= policy.max_restarts:
        return GiveUp("budget", f"given up after {restarts_text(len(recent), policy.window)}")
    streak = 0 if end.ready_seconds >= policy.window else history.streak
    number = len(recent) + 1
    return StartAgain(_delay(policy, streak, draw()), number, History((*recent, now), streak + 1))


def _delay(policy: RestartPolicy, streak: int, drawn: float) -> float:
    """Seconds to wait after `streak` restarts; see `RestartPolicy`."""
    delay = policy.first_delay
    for _ in range(streak):  # not a power: that overflows after a thousand restarts
        if delay >= policy.max_delay or policy.factor <= 1:
            break
        delay *= policy.factor
    delay = min(delay, policy.max_delay)
    return delay * (1 + policy.jitter * (2 * drawn - 1))


def restarts_text(count: int, window: float) -> str:
    """`5 restarts within 10 min`."""
    return f"{count} restart{'' if count == 1 else 's'} within {duration_text(window)}"


def duration_text(seconds: float) -> str:
    """`45 s`, `10 min`, `2 h`: the largest unit that gives a whole number."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
