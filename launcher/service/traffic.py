"""The front door of a service: who gets traffic, as HAProxy is told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from launcher import files
from launcher.door.config import DoorSettings, Server
from launcher.door.door import FrontDoor
from launcher.door.runtime import RuntimeRefused, ServerState
from launcher.engines.plan_parts import base_url
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.instance.store import instance_dir
from launcher.plan.model import ADMIN
from launcher.profile.model import Port, Profile
from launcher.profile.secrets import resolve
from launcher.profile.service import ServiceSettings
from launcher.service import replicas
from launcher.service.failure import StepFailed
from launcher.service.model import DoorAddress, Member, ServiceState
from launcher.service.store import ServiceDir

DRAIN_POLL = 0.1
"""Seconds between two looks at the running requests: HAProxy does not tell when the last ended."""


class Traffic:
    """Tells the front door of one service who gets requests."""

    def __init__(self, service: ServiceDir) -> None:
        """Nothing is asked or started yet."""
        self._service = service
        self._door = FrontDoor(
            instance_dir(service.door_instance),
            service.folder / "haproxy.cfg",
            service.folder / "door.pem",
        )

    def open(self, state: ServiceState, profile: Profile) -> DoorAddress:
        """Start the front door where it does not run, and let it have the profile's settings.

        Raises:
            StepFailed: it did not start.
            DeployError: HAProxy is missing, the port is taken, or the address cannot change now.
        """
        settings = self._settings(profile)
        service = _service(profile)
        if replicas.is_ready(self._service.door_instance):
            self._check_address(state, settings, profile)
            self._door.apply(settings, self._servers(state))
        else:
            result = self._door.start(settings, self._servers(state), drain=service.rollout.drain)
            if result.exit_code is not ExitCode.DONE:
                problem = result.errors[0] if result.errors else Problem("failed", "it ended")
                message = f"the front door did not start: {problem.message}"
                failed = Problem(problem.code, message, problem.where, problem.remedy)
                raise StepFailed(failed, ExitCode.DID_NOT_START)
        numbers = self._door.ports()
        url = base_url(settings.address, numbers["api"])
        if settings.certificate is not None:
            url = url.replace("http", "https", 1)
        return DoorAddress(settings.address, numbers["api"], numbers["stats"], url)

    def _check_address(self, state: ServiceState, settings: DoorSettings, profile: Profile) -> None:
        door = state.door
        if door is None:
            return
        moved = settings.port not in (0, door.port) or settings.address != door.address
        secure = settings.certificate is not None
        if moved or secure != door.url.startswith("https"):
            raise PreconditionError.of(
                "front-door-moved",
                f"the front door of {self._service.name} listens at {door.url}; address, port and"
                " TLS cannot change while it serves",
                profile.where("service.front-door"),
                f"`ernie-deploy down {self._service.name}`, then `deploy`",
            )  # fmt: skip

    def apply(self, state: ServiceState, profile: Profile) -> None:
        """Let the door have the replicas of `state` that it is to know, with their weights.

        Raises:
            PreconditionError: HAProxy refused, or cannot be reached.
        """
        if state.door is not None:
            self._door.apply(self._settings(profile), self._servers(state))

    def drain(self, names: Sequence[str], seconds: float) -> int:
        """Wait until these replicas work on no request; returns how many they still work on."""
        end = time.monotonic() + seconds
        while True:
            try:
                servers = self._door.servers()
            except OSError:
                servers = {}  # a door that died has no requests any more
            running = sum(servers[name].sessions for name in names if name in servers)
            if not running or time.monotonic() > end:
                return running
            time.sleep(DRAIN_POLL)

    def close(self, state: ServiceState, *, drain: float | None = None) -> Problem | None:
        """Stop the front door: no new requests, and `drain` seconds for those that run.

        Returns what went wrong, None where nothing did.
        """
        return replicas.stop(self._service.door_instance, drain)

    def servers(self, state: ServiceState) -> dict[str, ServerState]:
        """What the door says of its servers; empty where it cannot be reached."""
        if state.door is None:
            return {}
        with contextlib.suppress(OSError, RuntimeRefused, DeployError):
            return self._door.servers()
        return {}

    def _servers(self, state: ServiceState) -> list[Server]:
        return [
            server
            for member in state.members
            if member.known_to_door and (server := _server(member)) is not None
        ]

    def _settings(self, profile: Profile) -> DoorSettings:
        door = _service(profile).front_door
        return DoorSettings(
            name=self._service.name,
            address=door.address or profile.host,
            port=door.port if door.port >= 0 else _number(profile.ports.get("api")),
            stats_port=0,
            certificate=self._certificate(door.certificate, door.key),
            connect_timeout=door.connect_timeout,
            request_timeout=door.request_timeout,
            response_timeout=door.response_timeout,
            client_timeout=door.client_timeout,
            queue_timeout=door.queue_timeout,
            retry_buffer=door.retry_buffer,
            max_connections=door.max_connections,
        )

    def _certificate(self, certificate: str, key: str) -> str | None:
        """The path of one private file with certificate and key, as HAProxy wants them.

        Raises:
            PreconditionError: a reference cannot be resolved, or the file cannot be written.
        """
        if not certificate:
            return None
        text = f"{resolve(certificate).strip()}\n{resolve(key).strip()}\n"
        path = self._door.certificate
        try:
            files.write_atomically(path, text)
        except OSError as error:
            raise PreconditionError.of(
                "state-not-writable", f"the certificate cannot be kept: {error.strerror}", str(path)
            ) from None
        return str(path)


def _server(member: Member) -> Server | None:
    """Where a replica listens, by its plan; None where it was never started."""
    try:
        plan = instance_dir(member.name).plan()
    except DeployError:
        return None
    use = plan.port(plan.readiness.port)
    admin = plan.port(ADMIN)
    return Server(member.name, use.address, use.number, admin.number, member.weight)


def _number(port: Port | None) -> int:
    return port if isinstance(port, int) else 0


def _service(profile: Profile) -> ServiceSettings:
    return profile.service or ServiceSettings()
