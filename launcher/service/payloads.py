"""What the verbs about services return; `launcher.codec` writes them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from launcher.codec import written
from launcher.instance.instance_status import Status
from launcher.lifecycle import InstanceState
from launcher.service.model import (
    Action,
    ConcreteStrategy,
    Direction,
    HistoryEntry,
    Kind,
    Outcome,
    Part,
)

ServiceCondition = Literal["serving", "degraded", "down", "stopped", "changing", "interrupted"]
"""`interrupted`: a rollout whose command has ended; `changing`: one that goes on."""


@dataclass(frozen=True)
class Deployed:
    """`deploy`, `rollback` and `scale`: what serves now, and how it came to.

    `outcome` is None where nothing had to be done. `planned` are the actions of `--dry-run`,
    `parts` the instances behind the routers of its groups, by replica; `downtime` the seconds in
    which nothing serves, None where that is not known.
    """

    service: str
    revision: str | None
    previous: str | None
    replicas: int
    kind: Kind
    outcome: Outcome | None
    strategy: ConcreteStrategy | None = None
    reason: str = ""
    url: str | None = None
    members: tuple[str, ...] = ()
    smoke: str = ""
    seconds: float = 0.0
    dry_run: bool = field(default=False, metadata=written(omit=True))
    planned: tuple[Action, ...] = field(default=(), metadata=written(omit=True))
    devices: tuple[tuple[str, ...] | None, ...] = field(default=(), metadata=written(omit=True))
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict, metadata=written(omit=True))
    downtime: float | None = field(default=None, metadata=written(omit=True))
    note: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class PartStatus:
    """One instance of a group: its role (`router`, `prefill`, `decode`), GPUs and ports by name.

    `message` is empty where it is well.
    """

    name: str
    role: str
    state: InstanceState
    gpus: tuple[str, ...] | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class ReplicaStatus:
    """One replica: its instance's state, its part of the traffic and what the front door sees.

    `door` is what HAProxy says of the server (`up`, `down`, `drain`, `maint`), None where it does
    not list it or does not answer. `sessions` are requests that it works on through the door.
    `parts` are the names of the instances behind the router of a group, `group` is all of it.
    """

    name: str
    revision: str
    state: InstanceState
    weight: int
    share: float
    door: str | None = None
    sessions: int | None = None
    url: str | None = None
    message: str = ""
    parts: tuple[str, ...] = field(default=(), metadata=written(omit=True))
    group: tuple[PartStatus, ...] = field(default=(), metadata=written(omit=True))


@dataclass(frozen=True)
class RolloutStatus:
    """A rollout that is not over; `owner` None: its command has ended."""

    id: str
    kind: Kind
    strategy: ConcreteStrategy
    source: str | None
    target: str
    direction: Direction
    done: int
    total: int
    action: str
    owner: str | None
    started_at: float
    error: str | None = None


@dataclass(frozen=True)
class ServiceStatus:
    """One service of `status`; `gateway_state` is None where it needs no gateway."""

    name: str
    condition: ServiceCondition
    revision: str | None
    replicas: int
    ready: int
    url: str | None
    engine: str | None
    release: str | None
    door_state: InstanceState
    gateway_state: InstanceState | None = field(default=None, metadata=written(omit=True))
    members: tuple[ReplicaStatus, ...] = ()
    rollout: RolloutStatus | None = field(default=None, metadata=written(omit=True))
    held: str | None = field(default=None, metadata=written(omit=True))
    message: str = ""
    remedy: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class StatusWithServices(Status):
    """`status` where there are services; their replicas and doors are among the instances too."""

    services: tuple[ServiceStatus, ...] = ()


@dataclass(frozen=True)
class History:
    """`history`: newest first."""

    service: str
    revision: str | None
    entries: tuple[HistoryEntry, ...] = ()


@dataclass(frozen=True)
class ServiceDown:
    """`down` of a service: the instances that were stopped, and what is left of others."""

    service: str
    stopped: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    cut: int = 0


@dataclass(frozen=True)
class Held:
    """`lock` and `unlock`: who forbids changes, None where they are allowed."""

    service: str
    held: str | None
