"""Anthropic's dialect of a service: whether a gateway is needed, and its instance.

An engine that speaks the dialect itself needs none. A gateway whose settings change (the name of
the model, the key) is replaced: the new one is started under the other of its two names, the front
door is told, and the old one ends when its requests have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from launcher import engines, paths
from launcher.door.gateway import GatewaySettings, config_name, gateway_profile, render
from launcher.door.messages import GatewayServer
from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.store import InstanceDir, instance_dir, view
from launcher.instance.up import up
from launcher.json_values import text_at
from launcher.lifecycle import LIVE, InstanceState
from launcher.plan.model import ADMIN
from launcher.preparation import prepare
from launcher.profile.model import Profile
from launcher.profile.secrets import resolve
from launcher.service import replicas
from launcher.service.failure import StepFailed
from launcher.service.model import Member, ServiceState
from launcher.service.revision import profile_of
from launcher.service.store import ServiceDir

ANTHROPIC = "anthropic"
UNKNOWN_UPSTREAM = "http://127.0.0.1:9/v1"
"""Stands for the front door's inner port while it has none."""


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that answers, or starts again: its instance and its LiteLLM's version."""

    instance: str
    release: str | None


def has_gateway(service: ServiceDir, state: ServiceState, profile: Profile) -> bool:
    """Whether the service speaks Anthropic's dialect and one of its replicas does not.

    `profile` has the `service:` section in force; without replicas its own engine decides.
    """
    if profile.service is None or ANTHROPIC not in profile.service.dialects:
        return False
    if not _speaks(profile, None):
        return True
    return not all(_member_speaks(service, state, member) for member in state.members)


def _member_speaks(service: ServiceDir, state: ServiceState, member: Member) -> bool:
    try:
        revision = service.revision(member.revision)
    except DeployError:
        return False
    return _speaks(profile_of(revision, state.section), revision.release)


def _speaks(profile: Profile, version: str | None) -> bool:
    """Whether a replica of this profile answers `/v1/messages` itself."""
    engine = engines.get(profile.engine)
    release = engine.release(version) if version is not None else None
    return ANTHROPIC in engine.capabilities(profile, release)


def running_gateway(service: ServiceDir, without: Sequence[str] = ()) -> RunningGateway | None:
    """The gateway that works for the service now, none of `without`; None where there is none."""
    for name in service.gateway_instances:
        instance = instance_dir(name)
        if name not in without and view(instance)[0] in LIVE:
            try:
                return RunningGateway(name, instance.plan().release)
            except DeployError:
                continue
    return None


class Gateway:
    """The gateway of one service; the caller holds the service's lock."""

    def __init__(self, service: ServiceDir) -> None:
        """Nothing is asked or started yet."""
        self._service = service

    def check(self, profile: Profile) -> None:
        """Find what would keep a gateway from starting, before replicas load.

        Raises:
            DeployError: LiteLLM is not installed, or the key cannot be had.
        """
        if running_gateway(self._service) is None:
            settings = self._settings(profile, UNKNOWN_UPSTREAM, profile.model)
            name = self._service.gateway_instances[0]
            path = self._service.folder / config_name(settings)
            prepare.prepare(gateway_profile(settings, name, path)).leases.release()

    def server(self, profile: Profile, without: Sequence[str] = ()) -> GatewayServer | None:
        """Where the front door reaches the gateway; None where none runs but those `without`."""
        running = running_gateway(self._service, without)
        if running is None:
            return None
        plan = instance_dir(running.instance).plan()
        key = _key_digest(profile)
        return GatewayServer(plan.port("api").number, plan.port(ADMIN).number, key)

    def open(self, state: ServiceState, profile: Profile, upstream: str) -> list[str]:
        """Let a gateway with these settings run; returns the instances that are to be stopped.

        `upstream` is the root of the chat completions at the front door's inner port.

        Raises:
            StepFailed: it did not start.
            DeployError: LiteLLM is missing, or the key cannot be had.
        """
        settings = self._settings(profile, upstream, self._model(state, profile))
        path = self._service.folder / config_name(settings)
        live = [name for name in self._service.gateway_instances if _is_live(instance_dir(name))]
        for name in live:
            if _config_of(instance_dir(name)) == str(path):
                return [gateway for gateway in live if gateway != name]
        free = [name for name in self._service.gateway_instances if name not in live]
        if not free:
            problem = replicas.stop(live[0])
            if problem is not None:
                raise StepFailed(problem, ExitCode.NEGATIVE)
            free, live = [live[0]], live[1:]
        paths.write_private(path, render(settings), "the gateway's settings")
        notify = profile.notify
        result = up(gateway_profile(settings, free[0], path, notify=notify),
                    on_event=lambda event: None)  # fmt: skip
        if result.exit_code is not ExitCode.DONE:
            problem = result.errors[0] if result.errors else Problem("failed", "it ended")
            message = f"the gateway did not start: {problem.message}"
            remedy = problem.remedy or f"`ernie-deploy diagnose {free[0]}`"
            raise StepFailed(
                Problem(problem.code, message, problem.where, remedy), ExitCode.DID_NOT_START
            )
        return live

    def close(self, *names: str, drain: float | None = None) -> Problem | None:
        """Stop these gateways, without names all; returns what went wrong, None if nothing did.

        Requests that run have `drain` seconds to end, None: those of its profile.
        """
        for name in names or self._service.gateway_instances:
            instance = instance_dir(name)
            if not instance.folder.is_dir():
                continue
            config = _config_of(instance)
            problem = replicas.stop(name, drain)
            if problem is not None:
                return problem
            path = self._service.folder / config.rpartition("/")[2]
            if config == str(path):
                path.unlink(missing_ok=True)
        return None

    def _settings(self, profile: Profile, upstream: str, model: str) -> GatewaySettings:
        service = profile.service
        assert service is not None  # noqa: S101  (a service has the section)
        key = profile.api_key.text() if profile.api_key else None
        timeout = service.front_door.response_timeout
        return GatewaySettings(
            self._service.name, upstream, model, timeout, key, _key_digest(profile)
        )

    def _model(self, state: ServiceState, profile: Profile) -> str:
        """The name by which the newest replica knows its model."""
        for member in reversed(state.members):
            name = member.parts[0].instance if member.parts else member.name
            try:
                plan = instance_dir(name).plan()
            except DeployError:
                continue
            return plan.served_model or plan.readiness.model or plan.model
        return profile.served_model_name or profile.model


def is_served(service: ServiceDir, state: ServiceState, profile: Profile) -> bool:
    """Whether a gateway answers, or none is needed."""
    return not has_gateway(service, state, profile) or gateway_state(service) == InstanceState.READY


def gateway_state(service: ServiceDir) -> InstanceState:
    """The state of the service's gateway: of the one that runs, else of the one that last did."""
    states = [view(instance_dir(name))[0] for name in service.gateway_instances]
    live = [state for state in states if state in LIVE]
    left = [state for state in states if state != InstanceState.ABSENT]
    return (live or left or [InstanceState.ABSENT])[0]


def _key_digest(profile: Profile) -> str | None:
    if profile.api_key is None:
        return None
    return hashlib.sha256(resolve(profile.api_key.text()).encode()).hexdigest()


def _is_live(instance: InstanceDir) -> bool:
    return view(instance)[0] in LIVE


def _config_of(instance: InstanceDir) -> str:
    try:
        return text_at(instance.profile(), "engine-args", "config")
    except DeployError:
        return ""
