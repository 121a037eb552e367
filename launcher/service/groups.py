"""Which instances a replica consists of, and in which order they start.

A replica is one instance, or a group: a router, which takes the requests and has the replica's
name, and prefill and decode instances behind it. They are started together; an instance waits only
until its router listens, whose address it is given. Each group has a router of its own, so that an
instance of one revision never works with one of another.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

from launcher import engines
from launcher.engines.base import GroupFacts, Release
from launcher.errors import DeployError, ExitCode, PreconditionError
from launcher.instance.store import instance_dir, view
from launcher.json_values import text_at
from launcher.lifecycle import LIVE
from launcher.preparation import prepare
from launcher.profile.build import build
from launcher.profile.model import Profile
from launcher.service import replicas
from launcher.service.failure import StepFailed
from launcher.service.model import Member, Part
from launcher.service.replicas import Launch
from launcher.service.revision import replica_profile

UNKNOWN_ROUTER = "127.0.0.1:9"
"""Stands for the address of a router that does not run, in a profile that is only looked at."""


def parts_of(profile: Profile, name: str, gpus: tuple[str, ...] | None) -> tuple[Part, ...]:
    """The instances behind the router of the replica `name`; none where it is one instance.

    `gpus` are the replica's, which are divided in order.
    """
    facts = _facts(profile)
    if facts is None:
        return ()
    parts, taken = [], 0
    for kind in facts.parts(profile):
        for number in range(1, kind.count + 1):
            own = gpus[taken : taken + kind.gpus] if gpus is not None else None
            taken += kind.gpus
            parts.append(Part(f"{name}-{kind.role}{number}", kind.role, own))
    return tuple(parts)


def launches(members: Sequence[tuple[Member, Profile]]) -> list[Launch]:
    """What to start together for these replicas: each with the profile of its revision."""
    all_launches: list[Launch] = []
    for member, profile in members:
        if not member.parts:
            one = replica_profile(profile, member)
            all_launches.append(Launch(member.name, lambda one=one: one))  # type: ignore[misc]
            continue
        all_launches.append(_router_launch(profile, member))
        all_launches += [_part_launch(profile, member, part) for part in member.parts]
    return all_launches


def profiles_of(profile: Profile, member: Member, release: Release | None = None) -> list[Profile]:
    """The profiles of all instances of a replica, its router first; nothing is started.

    Raises:
        DeployError: the router's program is missing, or the engine is.
    """
    if not member.parts:
        return [replica_profile(profile, member)]
    parts = [part_profile(profile, part, UNKNOWN_ROUTER) for part in member.parts]
    return [router_profile(profile, member, release), *parts]


def router_profile(profile: Profile, member: Member, release: Release | None = None) -> Profile:
    """The profile of the router of a group; `release` is the installed one where None.

    Raises:
        PreconditionError: `missing-router`: the Go router is needed and not on PATH; or the
            engine is missing.
    """
    facts = _facts(profile)
    assert facts is not None  # noqa: S101  (a group is made by them)
    if release is None:
        _, _, release = prepare.engine_of(profile)
    name, required = facts.program(profile, release)
    path = shutil.which(name) if name else None
    if required and path is None:
        key = "service.group.router" if profile.api_key is None else "api-key"
        raise PreconditionError.of(
            "missing-router", f"the Go router is needed and {name} is not on PATH",
            profile.where(key),
            f"copy /usr/local/bin/{name} from FastDeploy's image (2.5.0 or later) to a folder of"
            " PATH, or write `service.group.router: python`" + (
                "" if profile.api_key is None else " and remove `api-key`"
            ),
        )  # fmt: skip
    router = facts.router(profile, release, path)
    peers = [part.instance for part in member.parts]
    arguments = {**router.engine_args, "peers": peers}
    values = {**router.resolved, "name": member.name, "engine-args": arguments}
    return replace(build(values, profile.path), origins=router.origins, text=router.text)


def part_profile(profile: Profile, part: Part, router: str) -> Profile:
    """The profile of one instance of a group, which registers with `router`."""
    facts = _facts(profile)
    assert facts is not None  # noqa: S101  (a group is made by them)
    role = facts.part(profile, part.role, router)
    return replica_profile(
        role, Member(part.instance, "", 0, part.gpus), host=role.host
    )  # fmt: skip


def memory_profiles(profile: Profile) -> list[tuple[str, Profile]]:
    """What has weights on a card, by its name in a sentence: a replica, or each role of a group."""
    facts = _facts(profile)
    if facts is None:
        return [("replica", profile)]
    return [
        (f"{kind.role} instance", facts.part(profile, kind.role, UNKNOWN_ROUTER))
        for kind in facts.parts(profile)
    ]


def _router_launch(profile: Profile, member: Member) -> Launch:
    return Launch(member.name, lambda: router_profile(profile, member))


def _part_launch(profile: Profile, member: Member, part: Part) -> Launch:
    def make() -> Profile:
        address = _router_address(member.name)
        _stop_stranger(part, address)
        return part_profile(profile, part, address)

    return Launch(part.instance, make, after=member.name)


def _router_address(router: str) -> str:
    use = instance_dir(router).plan().port("api")
    return f"127.0.0.1:{use.number}"


def _stop_stranger(part: Part, router: str) -> None:
    """Stop an instance that runs for an earlier router of its group: that one is gone.

    Raises:
        StepFailed: something of it is left.
    """
    instance = instance_dir(part.instance)
    if view(instance)[0] not in LIVE:
        return
    try:
        runs = text_at(instance.profile(), "engine-args", "router")
    except DeployError:
        runs = ""
    if runs == router:
        return
    problem = replicas.stop(part.instance)
    if problem is not None:
        raise StepFailed(problem, ExitCode.NEGATIVE)


def _facts(profile: Profile) -> GroupFacts | None:
    """How the profile's engine serves by groups; None where a replica is one instance."""
    service = profile.service
    if service is None or service.group is None:
        return None
    return engines.get(profile.engine).groups
