"""The keeper's own port: engine-independent, leased beside the engine's and added to its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from launcher.engines.base import PortNeed
from launcher.errors import PreconditionError
from launcher.host.sockets import bind_error
from launcher.plan.model import ADMIN, LaunchPlan, PortUse
from launcher.preparation.port_problems import host_problem
from launcher.profile.model import Profile

SHOWN_AS = "keeper: /livez, /readyz, /startupz, /metrics, /status"
SOCKET = "admin.sock"
"""In the instance's folder, where the profile says `unix`."""


def needs(profile: Profile) -> tuple[PortNeed, ...]:
    """The keeper's port; none where it listens on a Unix socket."""
    if profile.ports.get(ADMIN) == "unix":
        return ()
    return (PortNeed(ADMIN, address=profile.admin_host, shown_as=SHOWN_AS),)


def check_address(profile: Profile) -> None:
    """Refuse an address that the keeper could not listen on.

    Raises:
        PreconditionError: `admin-host` is not an address of this machine.
    """
    error = bind_error(profile.admin_host, 0) if needs(profile) else None
    if error is not None:
        raise PreconditionError(host_problem(profile.admin_host, error, "admin-host"))


def with_admin(
    plan: LaunchPlan, profile: Profile, numbers: Mapping[str, int], folder: Path
) -> LaunchPlan:
    """`plan` with the keeper's port; `folder` is the instance's."""
    if needs(profile):
        use = PortUse(ADMIN, numbers[ADMIN], profile.admin_host, SHOWN_AS)
    else:
        use = PortUse(ADMIN, 0, "", SHOWN_AS, bound=False, socket=str(folder / SOCKET))
    return replace(plan, ports=(*plan.ports, use))
