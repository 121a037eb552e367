"""The front door of a service as a whole: its file, its instance, and the running HAProxy.

The file is written first and the process follows, so that a HAProxy that dies is started again by
its keeper with the right servers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import files, paths
from launcher.door import runtime
from launcher.door.config import STATS_SOCKET, DoorSettings, Server, render
from launcher.door.profile import door_profile
from launcher.door.runtime import Door, RuntimeRefused, ServerState
from launcher.engines.haproxy.engine import MASTER_SOCKET
from launcher.errors import PreconditionError
from launcher.host.programs import program_features
from launcher.instance.payloads import Up
from launcher.instance.store import InstanceDir
from launcher.instance.up import up
from launcher.json_values import text_at
from launcher.preparation.prepare import Prepared
from launcher.result import Result

APPLY_DEADLINE = 60.0
"""Seconds until HAProxy has what the file says; its keeper may be starting it again meanwhile."""
APPLY_RETRY = 0.1
EXPORTER = "prometheus-exporter"


@dataclass(frozen=True)
class FrontDoor:
    """A front door on disk: its instance, its configuration, and the certificate it may have."""

    instance: InstanceDir
    config: Path
    certificate: Path

    # -- start -------------------------------------------------------------------------------------

    def start(
        self, settings: DoorSettings, servers: Sequence[Server], *, drain: float
    ) -> Result[Up]:
        """Start HAProxy; a port of 0 in `settings` is chosen now, as is the one for metrics.

        Raises:
            DeployError: HAProxy is missing, or the port is taken; nothing is started then.
        """
        profile = door_profile(
            self.instance.name, str(self.config), address=settings.address, port=settings.port,
            tls=settings.certificate is not None, drain=drain,
        )  # fmt: skip

        def write(prepared: Prepared, keeper: int | None) -> tuple[str, ...]:
            numbers = prepared.plan.numbers
            self.write(at_ports(settings, numbers, prepared.plan.argv[0]), servers)
            return ()

        preferred = self.instance.ports()
        return up(profile, on_event=lambda event: None, preflight=write, preferred=preferred)

    def write(self, settings: DoorSettings, servers: Sequence[Server]) -> None:
        """Replace the configuration file.

        Raises:
            PreconditionError: the disk is full or not writable.
        """
        try:
            paths.private_folder(self.config.parent)
            files.write_atomically(self.config, render(settings, servers))
        except OSError as error:
            raise PreconditionError.of(
                "state-not-writable", f"the front door's file cannot be written: {error.strerror}",
                str(self.config), "free some disk space",
            ) from None  # fmt: skip

    # -- the running process -----------------------------------------------------------------------

    def _folder(self) -> Path:
        return Path(text_at(self.instance.plan_data(), "temporary_folder"))

    def door(self) -> Door:
        """The running HAProxy.

        Raises:
            PreconditionError: it was never started.
        """
        return Door(self._folder() / STATS_SOCKET)

    def ports(self) -> Mapping[str, int]:
        """Its ports, by name; empty where it was never started."""
        return self.instance.ports()

    def servers(self) -> dict[str, ServerState]:
        """What HAProxy says of every server.

        Raises:
            OSError: it cannot be reached.
            PreconditionError: it was never started.
        """
        return self.door().servers()

    def apply(self, settings: DoorSettings, servers: Sequence[Server]) -> None:
        """Let file and process have these settings and servers.

        Servers are changed by the runtime socket; other settings by a reload, which cuts nothing.

        Raises:
            PreconditionError: HAProxy refused it, or was not reached in `APPLY_DEADLINE` seconds.
        """
        plan = self.instance.plan()
        settings = at_ports(settings, plan.numbers, plan.argv[0])
        before = self._rules()
        self.write(settings, servers)
        end = time.monotonic() + APPLY_DEADLINE
        while True:
            try:
                if before is not None and before != render(settings, ()):
                    runtime.reload(self._folder() / MASTER_SOCKET)
                    before = None
                return reconcile(self.door(), servers)
            except (OSError, RuntimeRefused) as error:
                # A HAProxy that is started again reads the file; until then nothing answers.
                if time.monotonic() > end:
                    raise PreconditionError.of(
                        "door-unreachable",
                        f"the front door {self.instance.name} did not take its servers: {error}",
                        str(self.config), f"`ernie-deploy diagnose {self.instance.name}`",
                    ) from None  # fmt: skip
                time.sleep(APPLY_RETRY)

    def _rules(self) -> str | None:
        """The file without its servers; None where there is none."""
        try:
            lines = files.read_text(self.config).split("\n")
        except (OSError, UnicodeDecodeError):
            return None
        return "\n".join(line for line in lines if not line.startswith("    server "))


def reconcile(door: Door, servers: Sequence[Server]) -> None:
    """Add, change and remove servers until the running HAProxy has exactly these.

    Raises:
        RuntimeRefused, OSError: one step failed; the others can be repeated.
    """
    present = door.servers()
    # First those that come, so that no request finds none.
    for server in servers:
        current = present.get(server.name)
        if current is not None and current.port != server.port:
            door.remove(server.name)  # it was started again, on another port
            current = None
        if current is None:
            door.add(server)
        elif current.weight != server.weight:
            door.set_weight(server.name, server.weight)
    for name in present.keys() - {server.name for server in servers}:
        door.remove(name)


def at_ports(settings: DoorSettings, numbers: Mapping[str, int], program: str) -> DoorSettings:
    """`settings` with the ports of the started door, and what its program was built with."""
    from dataclasses import replace

    return replace(
        settings, port=numbers["api"], stats_port=numbers["stats"],
        exporter=EXPORTER in program_features(program),
    )  # fmt: skip
