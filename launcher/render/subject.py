"""What a rendering is made of: a profile, the plan of it at its place, and the sizes it needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.doctor.checks.memory import SHM_LEAST, SHM_PER_RANK
from launcher.engines.base import Engine, PlanContext, Release
from launcher.engines.common import specifier
from launcher.environments import recipes
from launcher.errors import PreconditionError
from launcher.instance.boot import START_MARGIN
from launcher.json_values import JsonObject, is_list
from launcher.keeper.engine_stop import MARGIN, longest_stop
from launcher.plan.model import ADMIN, LaunchPlan
from launcher.preparation import admin
from launcher.preparation.cards import known_cards
from launcher.preparation.memory import memory_plan
from launcher.preparation.prepare import check, local_engine
from launcher.profile.build import build
from launcher.profile.model import Profile
from launcher.render.placement import (
    Place,
    numbers,
    place_profile,
    port_wishes,
    secret_names,
    written_profile,
)
from launcher.render.settings import NO_GPU, Settings, read_settings

STATE = Path("/var/lib/ernie-deploy")
"""The state directory of units and containers."""


@dataclass(frozen=True)
class Subject:
    """A profile to be rendered; renderers read nothing else.

    `placed` is the resolved profile at its place, `plan` the launch plan of it: its ports are
    those of a container, elsewhere they are placeholders. `fingerprint` is `sha256:` of the
    profile as it was given. `nodes` machines run one replica together; `gpus`, `shm` and `memory`
    are those of each. `shm` and `memory` are bytes; `memory` None: not known, and `memory_source`
    says why, or where the number is from. `secrets` are names of variables.
    """

    profile: Profile
    placed: JsonObject
    plan: LaunchPlan
    settings: Settings
    release: str
    replicas: int
    nodes: int
    fingerprint: str
    shm: int
    memory: int | None
    memory_source: str
    secrets: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the instance."""
        return self.profile.name

    @property
    def api_port(self) -> int:
        """The API's port in a container."""
        return self.plan.port("api").number

    @property
    def admin_port(self) -> int:
        """The keeper's port in a container."""
        return self.plan.port(ADMIN).number

    @property
    def gpus(self) -> int:
        """GPUs of one replica on each of its nodes; 0: it runs on the CPU."""
        if self.settings.gpu_resource == NO_GPU:
            return 0
        return len(self.profile.gpus) if self.profile.gpus else self.plan.gpu_ranks

    @property
    def start_seconds(self) -> int:
        """Seconds after which a start has failed, with a margin for the keeper's own verdict."""
        return round(self.plan.deadlines.startup + START_MARGIN)

    @property
    def stop_seconds(self) -> int:
        """Seconds that a stop may take: every signal, the kill, and what is removed at the end."""
        return round(longest_stop(self.plan.stop, None) + MARGIN)

    def written(self, secrets: str | None) -> JsonObject:
        """The profile as its target reads it, secrets as files in the folder `secrets`."""
        return written_profile(self.placed, secrets)


def collect(profile: Profile, place: Place, *, version: str | None, replicas: int) -> Subject:
    """Everything a renderer needs; nothing is leased, started or asked of this machine's GPUs.

    `version` is the engine's release; None: the one that `engine install` would install.

    Raises:
        ProfileError: the profile is wrong for this release.
        PreconditionError: a third party runs it, or no release can be named.
    """
    engine = local_engine(profile)
    settings = read_settings(profile)
    nodes = count_nodes(engine, profile, settings)
    profile, original = _spread(engine, profile, nodes), profile
    release = engine.release(version or pinned_release(engine, profile))
    check(engine, profile, release)
    needs = (*engine.ports(profile, release), *admin.needs(profile))
    if ADMIN not in {need.name for need in needs}:
        # A Unix socket of the keeper cannot be reached from another container.
        needs += admin.needs(replace(profile, ports={}))
    ports = numbers(needs, port_wishes(profile.resolved))
    placed = place_profile(original.resolved, place, ports, replicas)
    planned = {**profile.resolved, **placed, "engine-args": profile.engine_args}
    plan = _plan(engine, release, build(planned, profile.path), ports)
    memory, source = _memory(profile, release)
    ranks = max(1, plan.gpu_ranks)
    return Subject(
        profile=original,
        placed=placed,
        plan=plan,
        settings=settings,
        release=release.version,
        replicas=replicas,
        nodes=nodes,
        fingerprint=fingerprint(original),
        shm=max(4 * SHM_LEAST, 2 * SHM_PER_RANK * ranks if ranks > 1 else 0),
        memory=memory,
        memory_source=source,
        secrets=secret_names(profile.resolved),
    )


def count_nodes(engine: Engine, profile: Profile, settings: Settings) -> int:
    """Machines that run one replica together: `render.nodes`, else those that the profile names.

    Raises:
        PreconditionError: `several-nodes`: the engine runs on one machine only.
    """
    if engine.nodes_option is None:
        if settings.nodes > 1:
            raise PreconditionError.of(
                "several-nodes", f"{engine.title} runs on one machine here",
                profile.where("render.nodes"), "remove `render.nodes`, or use FastDeploy",
            )  # fmt: skip
        return 1
    addresses = profile.engine_args.get(engine.nodes_option)
    listed = addresses.split(",") if isinstance(addresses, str) else addresses
    return settings.nodes or (len(listed) if is_list(listed) else 0) or 1


def _spread(engine: Engine, profile: Profile, nodes: int) -> Profile:
    """The profile on each of several nodes, with addresses that stand for the real ones."""
    if nodes == 1 or engine.nodes_option is None:
        return profile
    addresses = ",".join(f"192.0.2.{number + 1}" for number in range(nodes))
    arguments = {**profile.engine_args, engine.nodes_option: addresses}
    built = build({**profile.resolved, "engine-args": arguments}, profile.path)
    return replace(built, origins=profile.origins, text=profile.text)


def fingerprint(profile: Profile) -> str:
    """`sha256:` of the resolved profile: equal exactly where two profiles ask for the same."""
    text = json.dumps(profile.resolved, sort_keys=True, ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def pinned_release(engine: Engine, profile: Profile) -> str:
    """The release that `engine install` would install for this profile, on any machine.

    Raises:
        PreconditionError: the engine is a plug-in's, or no pinned release fits the profile.
    """
    on_cpu = engine.needs(profile, None).cpu or read_settings(profile).gpu_resource == NO_GPU
    names = [n for n in engine.environment_names(lambda: not on_cpu) if n in recipes.NAMES]
    version = None
    if names:
        request = recipes.Request(recipes.get(names[0]), specifier(profile.engine_version))
        version = recipes.known_version(request)
    if version is None:
        raise PreconditionError.of(
            "release-not-known", f"no release of {engine.title} is pinned for this profile",
            profile.where("engine-version"), "name one: `--engine-version V`",
        )  # fmt: skip
    return version


def _plan(engine: Engine, release: Release, profile: Profile, ports: dict[str, int]) -> LaunchPlan:
    folder = STATE / "instances" / profile.name
    context = PlanContext(
        python="/usr/bin/python3",
        release=release,
        ports={name: number for name, number in ports.items() if name != ADMIN},
        log_folder=folder / "logs" / "engine",
        temporary_folder=Path("/tmp/ed-XXXXXXXX"),  # noqa: S108 - shown, never made
    )
    return admin.with_admin(engine.plan(profile, context), profile, ports, folder)


def _memory(profile: Profile, release: Release) -> tuple[int | None, str]:
    """Bytes of host memory of one replica, and where the number is from."""
    if profile.memory_max is not None:
        return profile.memory_max, "the profile's memory-max"
    largest = max(known_cards().values(), key=lambda one: one.card.total)
    try:
        # The host's part of the memory plan does not depend on the card.
        plan = memory_plan(profile, version=release.version, gpu=largest.id, largest=False)
    except PreconditionError as error:
        return None, f"not known: {error.problems[0].message}"
    peak = plan.payload.prediction.host_peak
    return peak + peak // 4, "the memory plan's peak while loading, and a quarter more"
