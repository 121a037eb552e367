"""The profile of a front door's instance: what a keeper needs to run HAProxy for a service."""

from __future__ import annotations

from launcher.json_values import JsonValue
from launcher.profile.build import build
from launcher.profile.model import Profile

DRAIN = 600.0
"""Seconds that running requests get when the door itself is stopped."""
START = 60.0
"""Seconds for a start of HAProxy, which takes 0.1 s on an idle machine."""


def door_profile(
    instance: str, config: str, *, address: str, port: int, tls: bool, drain: float = DRAIN
) -> Profile:
    """The profile that `launcher.instance.up.up` takes; port 0 is chosen automatically."""
    values: dict[str, JsonValue] = {
        "name": instance,
        "engine": "haproxy",
        "model": "",
        "host": address,
        "ports": {"api": port or "auto", "stats": "auto", "admin": "auto"},
        "engine-args": {"config": config, "tls": tls},
        "stop": {"drain": drain, "grace": 10},
        "restart": {"policy": "always", "max-restarts": 20, "first-delay": 0, "max-delay": 5},
        "health": {"startup-timeout": START, "no-progress-timeout": START, "probe-timeout": 10},
    }
    return build(values)
