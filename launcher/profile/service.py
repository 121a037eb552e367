"""The `service:` section of a profile: replicas, front door, and what a rollout has to prove."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from launcher.json_values import JsonObject

Strategy = Literal["auto", "blue-green", "rolling", "recreate"]
Dialect = Literal["openai", "anthropic"]
RouterKind = Literal["auto", "python", "go"]


@dataclass(frozen=True)
class FrontDoor:
    """The public address and the time-outs of HAProxy; times in seconds, sizes in bytes.

    `address` is empty where the profile's `host` holds. `port` 0 is chosen automatically; -1 means
    that the section does not say: `ports.api` holds. `certificate` and `key` are secret references.
    """

    address: str = ""
    port: int = -1
    certificate: str = ""
    key: str = ""
    connect_timeout: float = 5.0
    request_timeout: float = 60.0
    response_timeout: float = 1800.0
    client_timeout: float = 1800.0
    queue_timeout: float = 60.0
    retry_buffer: int = 2 * 1024 * 1024
    max_connections: int = 2000


@dataclass(frozen=True)
class ServiceKey:
    """One of the keys that clients may call with: its name, references and limits.

    `key` and `next` are secret references; both are accepted while there is a `next`. At most
    `requests` begin within `period` seconds, and at most `concurrency` run at the same time; 0:
    no limit.
    """

    name: str
    key: str
    next: str = ""
    requests: int = 0
    period: int = 0
    concurrency: int = 0


@dataclass(frozen=True)
class RolloutSettings:
    """What a new revision has to prove; times in seconds, rates as shares (0.01 is 1 %).

    `slo_ttft` and `slo_latency` are what the means of a watch may not be above, from the profile's
    `slo:` section; None where it does not say.

    `canary` are the shares of the traffic that it gets before it gets all. Without `smoke_tags` the
    profile's own `smoke:` section says what is checked.
    """

    smoke_tags: tuple[str, ...] = ()
    canary: tuple[float, ...] = ()
    canary_watch: float = 30.0
    watch: float = 30.0
    max_error_rate: float = 0.01
    max_latency_increase: float = 1.0
    min_requests: int = 20
    drain: float = 600.0
    slo_ttft: float | None = None
    slo_latency: float | None = None


@dataclass(frozen=True)
class RoleSettings:
    """The instances of one kind in a group; None where the profile's own value holds.

    `engine_args` and `env` are added to those of the profile.
    """

    replicas: int = 1
    tensor_parallel_size: int | None = None
    max_num_seqs: int | None = None
    engine_args: JsonObject = field(default_factory=dict)
    env: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class GroupSettings:
    """A replica that is a router with prefill and decode instances behind it."""

    router: RouterKind = "auto"
    prefill: RoleSettings = RoleSettings()
    decode: RoleSettings = RoleSettings()


@dataclass(frozen=True)
class ServiceSettings:
    """The whole section; `gpus` are the devices of each replica that may exist.

    Without `keys` the front door asks for none. `dialects` are those that the service's address
    speaks. `group` is None where a replica is one instance.
    """

    replicas: int = 1
    strategy: Strategy = "auto"
    gpus: tuple[tuple[str, ...], ...] = ()
    keys: tuple[ServiceKey, ...] = ()
    dialects: tuple[Dialect, ...] = ("openai",)
    front_door: FrontDoor = FrontDoor()
    rollout: RolloutSettings = RolloutSettings()
    group: GroupSettings | None = None
