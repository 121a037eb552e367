"""`door` as text: the address, the replicas behind it, and what changed."""

from __future__ import annotations

from launcher.door.endpoints import Doorway
from launcher.plain import plain
from launcher.result import Result


def door(result: Result[Doorway]) -> str:
    """The address, one line for each replica and for each file that names none."""
    data = result.payload
    lines = [f"{result.instance}: {data.url}, {len(data.replicas)} replicas"]
    lines += [f"  {name} {address}" for name, address in data.replicas.items()]
    return "\n".join([*lines, *(f"  ignored: {reason}" for reason in data.refused)])


def change(before: Doorway | None, now: Doorway) -> str:
    """One line: what came, went or moved, and how many replicas there are now."""
    old = {} if before is None else before.replicas
    refused_before = () if before is None else before.refused
    changes = [f"+ {name} {address}" for name, address in now.replicas.items() if name not in old]
    changes += [f"- {name}" for name in old if name not in now.replicas]
    changes += [
        f"~ {name} {address}" for name, address in now.replicas.items()
        if name in old and old[name] != address
    ]  # fmt: skip
    changes += [f"ignored: {reason}" for reason in now.refused if reason not in refused_before]
    return plain(f"{now.url} {len(now.replicas)} replicas: {', '.join(changes) or 'no change'}")
