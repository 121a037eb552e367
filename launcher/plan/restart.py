"""When an engine that failed is started again, as data of the launch plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from launcher.json_values import JsonObject, number_at, text_at


@dataclass(frozen=True)
class RestartPolicy:
    """What the keeper does when an engine that was ready fails; all times are seconds.

    `policy`: `never`; `on-failure` starts it again unless the cause shows that this cannot help;
    `always` starts it again whatever the cause. At most `max_restarts` starts are made in any
    `window` of time that the engine did not spend loading; one more failure is final.
    The wait before a start is `first_delay`, times `factor` for each start since the engine was
    last ready for a whole `window`, at most `max_delay`; a random part of up to `jitter` (0 to 1)
    is added or taken away, so that engines that failed together do not start together.
    `on_stall`: `restart` treats a stalled server as one that failed, `report` only reports it.
    """

    policy: Literal["never", "on-failure", "always"] = "on-failure"
    max_restarts: int = 5
    window: float = 600.0
    first_delay: float = 1.0
    max_delay: float = 60.0
    factor: float = 2.0
    jitter: float = 0.2
    on_stall: Literal["restart", "report"] = "restart"

    @property
    def ends_stalled(self) -> bool:
        """True where a stalled engine is ended: a policy of `never` has nothing to put after it."""
        return self.on_stall == "restart" and self.policy != "never"


def former_restart(value: JsonObject) -> JsonObject:
    """The `restart` of a plan that was stored before it had one, as JSON.

    Such a keeper waited the same time before every start, and counted starts over its whole life;
    a window of ten years stands for that.
    """
    policy = text_at(value, "restart_policy")
    delay = number_at(value, "restart_delay")
    return {
        "policy": policy if policy in ("never", "on-failure") else "never",
        "max_restarts": int(number_at(value, "max_restarts") or 0),
        "window": 315_360_000.0,
        "first_delay": 5.0 if delay is None else delay,
        "max_delay": 5.0 if delay is None else delay,
        "jitter": 0.0,
        "on_stall": "report",
    }


def with_restart(value: JsonObject) -> JsonObject:
    """The stored plan `value`, in the form that plans have today."""
    if "restart" in value:
        return value
    return {**value, "restart": former_restart(value)}
