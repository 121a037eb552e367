"""The `service:` section of a profile: replicas, front door, and what a rollout has to prove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["auto", "blue-green", "rolling", "recreate"]


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


@dataclass(frozen=True)
class ServiceSettings:
    """The whole section; `gpus` are the devices of each replica that may exist.

    Without `keys` the front door asks for none.
    """

    replicas: int = 1
    strategy: Strategy = "auto"
    gpus: tuple[tuple[str, ...], ...] = ()
    keys: tuple[ServiceKey, ...] = ()
    front_door: FrontDoor = FrontDoor()
    rollout: RolloutSettings = RolloutSettings()
