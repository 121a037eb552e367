"""What `up`, `down` and `restart` return; `launcher.codec` writes them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.codec import written
from launcher.json_values import JsonValue
from launcher.keeper.receipt import Receipt
from launcher.lifecycle import InstanceState
from launcher.plan.memory import MemoryLesson


@dataclass(frozen=True)
class Serving:
    """A ready server: where it serves, what proved it, and the seconds that the start took.

    `already`: it ran before this `up`. `pid` is the engine's first process.
    """

    already: bool
    base_url: str | None = None
    ports: Mapping[str, int] | None = None
    seconds: float = 0.0
    evidence: Mapping[str, JsonValue] | None = None
    pid: int | None = None


@dataclass(frozen=True)
class Ended:
    """A start that did not get ready, and what it left; `receipt` None: that is not known."""

    receipt: Receipt | None = None


@dataclass(frozen=True)
class Up:
    """`up`. `detached`: only the watching ended, the start goes on."""

    state: InstanceState | None = field(default=None, metadata=written(omit=True))
    serving: Serving | None = field(default=None, metadata=written(inline=True))
    ended: Ended | None = field(default=None, metadata=written(inline=True))
    memory: MemoryLesson | None = field(default=None, metadata=written(omit=True))
    detached: bool = field(default=False, metadata=written(omit=True))


@dataclass(frozen=True)
class Down:
    """`down`: what the instance was and is; `note` "" where there is nothing to say."""

    state: InstanceState
    previous_state: InstanceState
    receipt: Receipt | None = field(default=None, metadata=written(omit=True))
    note: str | None = field(default="", metadata=written(omit=True))


@dataclass(frozen=True)
class Restart:
    """`restart`: the end of the old run, the start of the new one, and the forced checks."""

    started: Up = field(metadata=written(inline=True))
    stopped: Down
    forced: tuple[str, ...] = ()
    note: str | None = field(default=None, metadata=written(omit=True))
