"""What `status` returns; `launcher.codec` writes it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.codec import written
from launcher.keeper.receipt import Receipt
from launcher.keeper.state import EndError, LivenessRecord, RestartRecord
from launcher.lifecycle import InstanceState


@dataclass(frozen=True)
class Record:
    """What the keeper recorded of an instance; times are Unix seconds.

    Of an instance that does not run, `pid` and `processes` count what still lives.
    """

    phase: str | None = None
    percent: float | None = None
    ports: Mapping[str, int] | None = None
    admin_url: str | None = None
    started_at: float | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    error: EndError | None = None
    exit_code: int | None = None
    receipt: Receipt | None = None
    restarts: int | None = None
    restart: RestartRecord | None = field(default=None, metadata=written(omit=True))
    engine_exit: int | None = None
    forced: tuple[str, ...] | None = None
    previous_state: InstanceState | None = None
    pid: int | None = None
    keeper_pid: int | None = None
    processes: int | None = None
    ready_for: float | None = field(default=None, metadata=written(omit=True))
    liveness: LivenessRecord | None = field(default=None, metadata=written(omit=True))
    """The keeper's last verdict on a ready server; `since` in Unix seconds."""


@dataclass(frozen=True)
class Planned:
    """What was started, by the launch plan."""

    engine: str | None = None
    release: str | None = None
    model: str | None = None
    base_url: str | None = None


@dataclass(frozen=True)
class HealthReport:
    """What the keeper's verdict says of the server, else what that answers now.

    `health_status` is the HTTP status where the server was asked for this; `health_remedy` is
    there where it is not well.
    """

    healthy: bool | None
    health: str
    health_status: int | None = None
    health_body: str = ""
    health_remedy: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class InstanceStatus:
    """One instance of `status`; what is not known is not in its JSON."""

    name: str
    state: InstanceState = InstanceState.UNKNOWN
    note: str | None = None
    record: Record | None = field(default=None, metadata=written(inline=True))
    remedy: str | None = field(default=None, metadata=written(omit=True))
    planned: Planned | None = field(default=None, metadata=written(inline=True))
    health: HealthReport | None = field(default=None, metadata=written(inline=True))
    message: str = ""

    @property
    def is_healthy(self) -> bool:
        """True where it is ready and its server does not say otherwise."""
        ill = self.health is not None and not self.health.healthy
        return self.state == InstanceState.READY and not ill


@dataclass(frozen=True)
class Status:
    """`status`."""

    instances: tuple[InstanceStatus, ...] = ()
