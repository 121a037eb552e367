"""What a service is on disk: its replicas, its revisions and the rollout that is under way.

A **service** is a profile served by **replicas** (instances) behind one **front door**. A
**revision** is one profile content with the version of its engine. A **rollout** replaces the
replicas of one revision by those of another, action by action; each action can be repeated, so that
a rollout whose command was killed can be resumed or aborted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from launcher.codec import written
from launcher.json_values import JsonObject
from launcher.profile.model import Origin

SCHEMA = "ernie-deploy/service/1"
REVISION_SCHEMA = "ernie-deploy/revision/1"

FULL = 256
"""The largest weight of HAProxy; a replica that takes its whole share has it."""
STANDBY = 1
"""The weight of the old revision during a watch: it answers should the new one die."""

Kind = Literal["deploy", "rollback", "scale", "restart", "keys"]
"""`keys`: only the keys of clients were changed, by `keys rotate`."""
ActionKind = Literal["start", "prove", "door", "shift", "watch", "retire", "commit"]
Direction = Literal["forward", "back"]
Outcome = Literal["serving", "rolled-back", "aborted", "failed"]
ConcreteStrategy = Literal["blue-green", "rolling", "recreate"]


@dataclass(frozen=True)
class Member:
    """One replica: an instance, or a group of which it is the router that takes the requests.

    `weight` is what it has at the front door, 0 where it gets no new requests. `known_to_door`:
    the front door lists it. `gpus` are its devices, None where the engine chooses; those of a group
    are divided among its `parts`, the instances behind the router.
    """

    name: str
    revision: str
    number: int
    gpus: tuple[str, ...] | None = None
    weight: int = 0
    known_to_door: bool = False
    parts: tuple[Part, ...] = field(default=(), metadata=written(omit=True))

    @property
    def instances(self) -> tuple[str, ...]:
        """The names of all its instances, the one that takes the requests last."""
        return (*(part.instance for part in self.parts), self.name)


@dataclass(frozen=True)
class Part:
    """One instance behind the router of a group; `role` is `prefill` or `decode`."""

    instance: str
    role: str
    gpus: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Action:
    """One step of a rollout.

    `members` are the replicas it is about. `weights` are those of a `shift`, by replica. `seconds`
    is the length of a `watch`; `share` of the traffic the new revision has then.
    """

    kind: ActionKind
    members: tuple[str, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict, metadata=written(omit=True))
    seconds: float = field(default=0.0, metadata=written(omit=True))
    share: float = field(default=0.0, metadata=written(omit=True))


@dataclass(frozen=True)
class Owner:
    """Who runs a command on the service; `since` in Unix seconds."""

    user: str
    host: str
    pid: int
    command: str
    since: float
    message: str = ""

    def describe(self) -> str:
        """`root (pid 12, deploy): message`."""
        text = f"{self.user} (pid {self.pid}, {self.command})"
        return f"{text}: {self.message}" if self.message else text


@dataclass(frozen=True)
class Failure:
    """Why a rollout did not succeed, with the exit code that its command has."""

    code: str
    message: str
    exit_code: int
    where: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Rollout:
    """A change under way: `actions[:done]` are carried out. Times are Unix seconds.

    `old` and `new` are the replicas to go and to come, as they were planned: a way back starts old
    ones again that were stopped already. `replicas` and `section` hold after it, `section_before`
    after a way back. `smoke` is a summary of the proofs.
    """

    id: str
    kind: Kind
    strategy: ConcreteStrategy
    source: str | None
    target: str
    replicas: int
    section: JsonObject
    old: tuple[Member, ...]
    new: tuple[Member, ...]
    actions: tuple[Action, ...]
    owner: Owner
    started_at: float
    section_before: JsonObject = field(default_factory=dict)
    done: int = 0
    direction: Direction = "forward"
    failure: Failure | None = None
    aborted: bool = False
    smoke: str = ""

    @property
    def current(self) -> Action | None:
        """The action that comes next, None where all are done."""
        return self.actions[self.done] if self.done < len(self.actions) else None


@dataclass(frozen=True)
class DoorAddress:
    """Where the front door listens; `stats` is its port for metrics on loopback."""

    address: str
    port: int
    stats: int
    url: str


@dataclass(frozen=True)
class ServiceState:
    """`service.json`: everything that is known of a service.

    `revision` is the one that serves, None before the first deploy has succeeded. `section` is the
    resolved `service:` section in force, with `host` and `ports.api` of its profile beside it.
    """

    name: str
    schema: str = SCHEMA
    revision: str | None = None
    previous: str | None = None
    replicas: int = 0
    section: JsonObject = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    door: DoorAddress | None = None
    rollout: Rollout | None = None

    def member(self, name: str) -> Member | None:
        """The replica called `name`."""
        return next((member for member in self.members if member.name == name), None)


@dataclass(frozen=True)
class Revision:
    """One profile content with the version of its engine; `profile` is the resolved profile.

    `digest` identifies both, in hex; `id` is its beginning. `created_at` in Unix seconds. `origins`
    has the place of each value; revisions of older releases have none.
    """

    id: str
    digest: str
    engine: str
    release: str
    profile: JsonObject
    path: str | None = None
    created_at: float = 0.0
    origins: Mapping[str, Origin] = field(default_factory=dict)
    schema: str = REVISION_SCHEMA


@dataclass(frozen=True)
class HistoryEntry:
    """One line of `history.jsonl`: it ended `at` (Unix seconds) after `seconds`."""

    id: str
    kind: Kind
    at: float
    seconds: float
    user: str
    host: str
    message: str
    source: str | None
    target: str
    engine: str
    release: str
    strategy: ConcreteStrategy
    replicas: int
    smoke: str
    outcome: Outcome
    error: str | None = None
    exit_code: int = 0
