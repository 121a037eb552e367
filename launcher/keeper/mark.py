"""What an engine may leave behind, told in the environment of its processes.

The plan tells it as long as there is a plan. Where the instance's folder was deleted and the keeper
killed, a process of the engine that lives on is all that is left to ask, and the names of what a
dead one has made (`/dev/shm/8180.socket`) cannot be guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from launcher.json_values import JsonValue, integer_at, list_at, number_at, text_at
from launcher.plan.model import FtokKey, LaunchPlan, Leftovers

LONGEST = 64 * 1024
"""Characters; the kernel takes no variable of more than 128 KiB."""


@dataclass(frozen=True)
class Mark:
    """What one start of an engine may leave: names, ports, and since when they are its own."""

    leftovers: Leftovers
    cwd: str
    started: float
    ports: tuple[int, ...]


def encode(plan: LaunchPlan, started: float) -> str:
    """The variable's value; empty where the plan names too much for one variable."""
    spec = plan.leftovers
    text = json.dumps(
        {
            "shm": spec.shm,
            "queues": [[queue.path, queue.project, queue.bits] for queue in spec.queues],
            "temporary": spec.temporary,
            "cwd": plan.cwd,
            "started": started,
            "ports": [use.number for use in plan.engine_ports],
        },
        separators=(",", ":"),
    )
    return text if len(text) <= LONGEST else ""


def decode(text: str) -> Mark | None:
    """What a process's variable tells; None where that is nothing that we wrote."""
    try:
        data: JsonValue = json.loads(text[: LONGEST + 1])
    except (ValueError, RecursionError):
        return None
    started, cwd = number_at(data, "started"), text_at(data, "cwd")
    if started is None or not cwd:
        return None
    spec = Leftovers(
        shm=tuple(name for name in _texts(data, "shm") if "/" not in name),
        queues=tuple(key for one in list_at(data, "queues") if (key := _key(one)) is not None),
        temporary=tuple(_texts(data, "temporary")),
    )
    ports = [integer_at(one) for one in list_at(data, "ports")]
    return Mark(spec, cwd, float(started), tuple(port for port in ports if port))


def _key(data: JsonValue) -> FtokKey | None:
    """A queue's key; a keeper of before the wide keys told no number of bits."""
    project, bits = integer_at(data, 1), integer_at(data, 2)
    if project is None:
        return None
    key = FtokKey(text_at(data, 0), project)
    return key if bits is None else replace(key, bits=bits)


def _texts(data: JsonValue, key: str) -> list[str]:
    return [one for one in list_at(data, key) if isinstance(one, str) and one]
