"""The front door of a service: who gets traffic, as HAProxy is told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from launcher import engines, paths
from launcher.door import door as front_door
from launcher.door import key_maps
from launcher.door.config import DoorSettings, Server
from launcher.door.profile import door_profile, settings_of
from launcher.door.runtime import Counters, Door, ServerState
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.instance.store import instance_dir, view
from launcher.lifecycle import LIVE
from launcher.plan.model import ADMIN
from launcher.preparation import prepare
from launcher.probe import readiness
from launcher.profile.model import Profile
from launcher.profile.secrets import resolve
from launcher.profile.service import ServiceSettings
from launcher.service import dialects, replicas
from launcher.service.closing import ended_when_idle
from launcher.service.dialects import Gateway
from launcher.service.failure import StepFailed
from launcher.service.keys import Resolved, keep_keys, remove_keys, resolve_keys
from launcher.service.model import DoorAddress, Member, ServiceState
from launcher.service.store import ServiceDir

DRAIN_POLL = 0.1
"""Seconds between two looks at the running requests: HAProxy does not tell when the last ended."""
APPLY_DEADLINE = 60.0
"""Seconds until a HAProxy that its keeper starts again takes its servers."""
APPLY_RETRY = 0.1
KEPT_CONNECTION = DoorSettings.keep_alive + 5.0
"""Seconds after a reload until a client's idle connection is closed, and some more."""
UP_DEADLINE = 30.0
"""Seconds until a proved replica passes the door's own check, which is made every second."""
T = TypeVar("T")


class Traffic:
    """Tells the front door of one service who gets requests."""

    def __init__(self, service: ServiceDir) -> None:
        """Nothing is asked or started yet."""
        self._service = service
        self._instance = instance_dir(service.door_instance)
        self._resolved: dict[tuple[object, ...], Resolved | None] = {}
        self._gateway = Gateway(service)

    def open(self, state: ServiceState, profile: Profile) -> DoorAddress:
        """Start the front door where it does not run, and let it have the profile's settings.

        A gateway is started where one is needed, and ended where none is any more.

        Raises:
            StepFailed: one of them did not start.
            DeployError: HAProxy is missing, the port is taken, or the address cannot change now.
        """
        settings = self._settings(state, profile)
        servers = self._servers(state)
        if view(self._instance)[0] in LIVE:
            self._apply(settings, servers, profile)
        else:
            if (resolved := self._keys(profile)) is not None:
                keep_keys(self._service, resolved)
            door = self._profile(profile, settings)
            result = front_door.start(door, settings, servers, on_event=lambda event: None)
            if result.exit_code is not ExitCode.DONE:
                problem = result.errors[0] if result.errors else Problem("failed", "it ended")
                message = f"the front door did not start: {problem.message}"
                failed = Problem(problem.code, message, problem.where, problem.remedy)
                raise StepFailed(failed, ExitCode.DID_NOT_START)
        self._open_gateway(state, profile)
        plan = self._instance.plan()
        api, stats = plan.port("api"), plan.port("stats")
        return DoorAddress(api.address, api.number, stats.number, plan.base_url)

    def _open_gateway(self, state: ServiceState, profile: Profile) -> None:
        """First the gateway, then the door's way to it, then the end of what is not used now."""
        if not dialects.has_gateway(self._service, state, profile):
            self.end_gateway(state, profile)
            return
        inner = self._instance.plan().port("inner")
        old = self._gateway.open(state, profile, f"http://{inner.address}:{inner.number}/v1")
        settings, servers = self._settings(state, profile, without=old), self._servers(state)
        self._retry(lambda: front_door.apply(settings, servers))
        if old:
            self._end_gateways(*old)

    def end_gateway(self, state: ServiceState, profile: Profile) -> None:
        """Stop a gateway that no replica needs any more.

        Raises:
            StepFailed: something of it is left.
        """
        if dialects.running_gateway(self._service) is None or dialects.has_gateway(
            self._service, state, profile
        ):
            return
        self.apply(state, profile)
        self._end_gateways()

    def _end_gateways(self, *names: str) -> None:
        """Stop them once no kept connection of a client leads there."""
        front_door.wait_for_old_workers(self._instance, KEPT_CONNECTION)
        problem = self._gateway.close(*names)
        if problem is not None:
            raise StepFailed(problem, ExitCode.NEGATIVE)

    def check(self, state: ServiceState, profile: Profile) -> None:
        """Find what would keep the door from starting, or from changing, before replicas load.

        Raises:
            PreconditionError: HAProxy is missing or the port is taken; or the door runs with
                another address, port or TLS setting.
        """
        settings = self._settings(state, profile)
        if dialects.has_gateway(self._service, state, profile):
            self._gateway.check(profile)
        if view(self._instance)[0] not in LIVE:
            prepare.prepare(self._profile(profile, settings)).leases.release()
        elif state.door is not None:
            front_door.check_fixed(settings, self._instance.plan())

    def _profile(self, profile: Profile, settings: DoorSettings) -> Profile:
        """That of the door's instance."""
        folder = self._service.folder
        drain = _service(profile).rollout.drain
        return door_profile(settings, folder / front_door.CONFIG, drain=drain, usage=folder / USAGE)

    def apply(self, state: ServiceState, profile: Profile) -> None:
        """Let the door have the replicas of `state` that it is to know, with their weights.

        Raises:
            DeployError: HAProxy refused, or cannot be reached.
        """
        if state.door is not None:
            self._apply(self._settings(state, profile), self._servers(state), profile)

    def _apply(self, settings: DoorSettings, servers: list[Server], profile: Profile) -> None:
        resolved = self._keys(profile)
        if resolved is not None:
            keep_keys(self._service, resolved)
        self._retry(lambda: front_door.apply(settings, servers))
        if resolved is None:
            # Not before: until now the running door needed them for a start.
            remove_keys(self._service)

    def keys_differ(self, profile: Profile) -> bool:
        """Whether the keys behind the references are others than those that the door accepts.

        Raises:
            PreconditionError: a key cannot be had, or is not usable.
        """
        resolved = self._keys(profile)
        return resolved is not None and key_maps.differs(resolved.table)

    def rotate(self, state: ServiceState, profile: Profile) -> None:
        """Resolve every reference again, and let the door accept those keys and no others.

        Raises:
            DeployError: a reference cannot be resolved, a key is not usable, or HAProxy refused.
        """
        self._resolved[_references(profile)] = resolve_keys(self._service, profile, strict=True)
        self.apply(state, profile)

    def check_engine_key(self, state: ServiceState, profile: Profile) -> None:
        """Refuse a key of the replicas that those which serve do not take.

        The front door has one for all of them, so that it cannot change while old replicas serve.

        Raises:
            PreconditionError: `engine-key-changed`; or a key cannot be had.
        """
        resolved = self._keys(profile)
        if resolved is None:
            return
        for member in state.members:
            if member.weight and replicas.is_ready(member.name):
                plan = instance_dir(member.name).plan()
                rung = readiness.models(plan, resolved.table.engine_key or None)
                if rung.code == "key-refused":
                    raise PreconditionError.of(
                        "engine-key-changed",
                        f"{member.name} serves with another `api-key`, and the front door has one"
                        " key for all replicas", profile.where("api-key"),
                        "keep it (clients never see it), or `deploy --strategy recreate`",
                    )  # fmt: skip

    def _keys(self, profile: Profile) -> Resolved | None:
        """The keys of the profile, resolved once in the life of this object."""
        references = _references(profile)
        if references not in self._resolved:
            self._resolved[references] = resolve_keys(self._service, profile)
        return self._resolved[references]

    def _retry(self, action: Callable[[], T]) -> T:
        """A HAProxy that died is started again by its keeper; until then nothing answers."""
        end = time.monotonic() + APPLY_DEADLINE
        while True:
            try:
                return action()
            except PreconditionError as error:
                lasting = {"door-fixed", "door-config-refused", "door-not-running"}
                if lasting & {one.code for one in error.problems} or time.monotonic() > end:
                    raise
                time.sleep(APPLY_RETRY)

    def wait_until_up(self, names: Sequence[str], seconds: float = UP_DEADLINE) -> list[str]:
        """Wait until the door sends requests to these replicas; returns those to which it does not.

        A replica that was started again counts as down until the next check of it, within 1 s.
        """
        end = time.monotonic() + seconds
        while True:
            servers = self._listed()
            down = [n for n in names if n not in servers or servers[n].state == "down"]
            if not down or time.monotonic() > end:
                return down
            time.sleep(APPLY_RETRY)

    def drain(self, names: Sequence[str], seconds: float) -> int:
        """Wait until these replicas work on no request; returns how many they still work on."""
        end = time.monotonic() + seconds
        while True:
            servers = self._listed()
            running = sum(servers[name].sessions for name in names if name in servers)
            if not running or time.monotonic() > end:
                return running
            time.sleep(DRAIN_POLL)

    def close(self, *, drain: float | None = None) -> Problem | None:
        """Stop the front door and its gateway: no new requests, and time for those that run.

        `drain` are its seconds, None: those of the profile. Returns what went wrong, None where
        nothing did.
        """
        with ended_when_idle(self._instance):
            problem = replicas.stop(self._service.door_instance, drain)
        if problem is None:
            problem = self._gateway.close(drain=drain)
        if problem is None:
            for name in (front_door.CONFIG, CERTIFICATE):
                (self._service.folder / name).unlink(missing_ok=True)
            remove_keys(self._service)
        return problem

    def servers(self, state: ServiceState) -> Mapping[str, ServerState]:
        """What the door says of its servers; empty where it cannot be reached."""
        if state.door is None:
            return {}
        return self._listed()

    def _listed(self) -> Mapping[str, ServerState]:
        nothing: tuple[ServerState, ...] = ()
        return {one.name: one for one in self._ask(lambda: self._door().servers(), nothing)}

    def counters(self, state: ServiceState) -> Mapping[str, Counters]:
        """What the door has counted of each server; empty where it cannot be reached."""
        if state.door is None:
            return {}
        nothing: Mapping[str, Counters] = {}
        return self._ask(lambda: self._door().totals().servers, nothing)

    def _door(self) -> Door:
        return front_door.door_of(self._instance)

    @staticmethod
    def _ask(question: Callable[[], T], otherwise: T) -> T:
        with contextlib.suppress(DeployError):
            return question()
        return otherwise

    def _servers(self, state: ServiceState) -> list[Server]:
        return [
            server
            for member in state.members
            if member.known_to_door and (server := _server(member)) is not None
        ]

    def _settings(
        self, state: ServiceState, profile: Profile, *, without: Sequence[str] = ()
    ) -> DoorSettings:
        """The door's settings; `without` are gateways that are about to end."""
        door = _service(profile).front_door
        return replace(
            settings_of(profile, self._service.name),
            certificate=self._certificate(door.certificate, door.key),
            gateway=self._gateway.server(profile, without)
            if dialects.has_gateway(self._service, state, profile)
            else None,
            retry_statuses=_unserved(profile),
            keys=resolved.table if (resolved := self._keys(profile)) is not None else None,
        )

    def _certificate(self, certificate: str, key: str) -> str | None:
        """The path of one private file with certificate and key, as HAProxy wants them.

        Raises:
            PreconditionError: a reference cannot be resolved, or the file cannot be written.
        """
        if not certificate:
            return None
        text = f"{resolve(certificate, lines=True).strip()}\n{resolve(key, lines=True).strip()}\n"
        path = self._service.folder / CERTIFICATE
        paths.write_private(path, text, "the certificate")
        return str(path)


CERTIFICATE = "door.pem"
"""In the service's folder, mode 0600; removed when the front door is stopped."""


USAGE = "usage"
"""In the service's folder: what its keeper adds up of each key; it outlives the front door."""


def _references(profile: Profile) -> tuple[object, ...]:
    """What the keys of a profile are resolved from."""
    key = profile.api_key
    return (_service(profile).keys, key.text() if key is not None else None)


def _server(member: Member) -> Server | None:
    """Where a replica listens, by its plan; None where it was never started."""
    try:
        plan = instance_dir(member.name).plan()
    except DeployError:
        return None
    use = plan.port(plan.readiness.port)
    admin = plan.port(ADMIN)
    return Server(member.name, use.address, use.number, admin.number, member.weight)


def _unserved(profile: Profile) -> tuple[int, ...]:
    """The answers of a group's router with which a request goes to another group."""
    groups = engines.get(profile.engine).groups
    return groups.unserved if groups is not None and _service(profile).group is not None else ()


def _service(profile: Profile) -> ServiceSettings:
    return profile.service or ServiceSettings()
