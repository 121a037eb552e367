"""The profile by which a keeper runs the front door: `launcher.instance.up` takes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher.door.config import DoorSettings, open_connections
from launcher.json_values import JsonObject, JsonValue
from launcher.profile.build import build
from launcher.profile.model import Profile
from launcher.profile.service import ServiceSettings

DRAIN = 600.0
"""Seconds in which running streams may end when the door is stopped."""
GRACE = 10.0


def door_name(service: str) -> str:
    """The instance of a service's front door."""
    return f"{service}-door"


def settings_of(profile: Profile, name: str) -> DoorSettings:
    """The front door of the service `name` as a profile describes it, without TLS and keys."""
    door = (profile.service or ServiceSettings()).front_door
    api = profile.ports.get("api")
    port = door.port if door.port >= 0 else api
    return DoorSettings(
        name=name,
        address=door.address or profile.host,
        port=port if isinstance(port, int) and port else "auto",
        connect_timeout=door.connect_timeout,
        request_timeout=door.request_timeout,
        response_timeout=door.response_timeout,
        client_timeout=door.client_timeout,
        queue_timeout=door.queue_timeout,
        retry_buffer=door.retry_buffer,
        max_connections=door.max_connections,
    )


def door_profile(
    settings: DoorSettings,
    config_path: Path,
    *,
    drain: float = DRAIN,
    notify: Sequence[JsonObject] = (),
    program: str | None = None,
    usage: Path | None = None,
) -> Profile:
    """The profile of the front door of the service `settings.name`.

    `config_path` is the rendered file, absolute. `drain` are the seconds that a stop leaves running
    streams. `notify` are targets as in a service's own profile. `program` is the path of a HAProxy;
    None: the one of this machine, else that of `engine install`. `usage` is the folder in which its
    keeper adds up the requests of each key.
    """
    arguments: dict[str, JsonValue] = {
        "config": str(config_path),
        "max-connections": open_connections(settings),
    }
    if settings.certificate is not None:
        arguments["tls"] = True
    if settings.keys is not None:
        arguments["keys"] = True
    if usage is not None:
        arguments["usage"] = str(usage)
    values: dict[str, JsonValue] = {
        "name": door_name(settings.name),
        "engine": "haproxy",
        "model": settings.name,
        "description": f"front door of the service {settings.name}",
        "host": settings.address,
        "ports": {"api": settings.port, "stats": settings.stats_port},
        "engine-args": arguments,
        "health": {"startup-timeout": 60.0, "no-progress-timeout": 30.0, "probe-timeout": 10.0},
        # Without it the service is away: it is started again whatever happens.
        "restart": {
            "policy": "always", "max-restarts": 100, "window": 600.0, "first-delay": 0.1,
            "max-delay": 5.0,
        },
        "liveness": {
            "interval": 2.0, "stall-after": 10.0, "compute-stall-after": 30.0, "canary": False,
        },
        "stop": {"drain": drain, "grace": GRACE},
    }  # fmt: skip
    if notify:
        values["notify"] = list(notify)
    if program is not None:
        values["python"] = program
    return replace(build(values), text=json.dumps(values, indent=1) + "\n")
