"""`doctor` of a profile with a service: one replica, the front door, and whether all fit here."""

from __future__ import annotations

from dataclasses import replace

from launcher import doctor
from launcher.doctor import Finding
from launcher.doctor.model import Answer
from launcher.door.config import DoorSettings
from launcher.door.door import CONFIG
from launcher.door.profile import door_profile
from launcher.errors import DeployError
from launcher.instance.store import instance_dir, keeper_of
from launcher.profile.model import Port, Profile
from launcher.profile.service import ServiceSettings
from launcher.service import machine
from launcher.service.layout import layout
from launcher.service.model import Member
from launcher.service.revision import replica_profile
from launcher.service.store import DOOR, find_service, service_dir

OF_DOOR = ("engine", "ports")
"""Checks that the front door has beside its own and those of a replica."""
OWN = "haproxy-"
SUFFIX = "-replica"


def example_replica(profile: Profile) -> Profile:
    """The profile of a replica as it would be started; its name says that none is meant."""
    service = profile.service
    gpus = service.gpus[0] if service is not None and service.gpus else None
    return replica_profile(profile, Member(f"{profile.name}{SUFFIX}", "", 0, gpus))


def examine(profile: Profile, *, only_fast: bool) -> tuple[Finding, ...]:
    """The findings about one replica, then those about the front door and about all together.

    Raises:
        UsageError: the engine does not exist.
    """
    findings = doctor.run(doctor.of_profile(example_replica(profile)), only_fast=only_fast)
    return (*findings, *_door_findings(profile), _fit(profile))


def _door_findings(profile: Profile) -> tuple[Finding, ...]:
    door = (profile.service or ServiceSettings()).front_door
    port: Port = door.port if door.port >= 0 else (profile.ports.get("api") or 0)
    instance = f"{profile.name}{DOOR}"
    settings = DoorSettings(
        name=profile.name,
        address=door.address or profile.host,
        port=(port if isinstance(port, int) else 0) or "auto",
        certificate=door.certificate or None,
        max_connections=door.max_connections,
    )
    subject = doctor.of_profile(
        door_profile(settings, service_dir(profile.name).folder / CONFIG),
        keeper=keeper_of(instance_dir(instance)),
    )
    findings = doctor.run(subject, only_fast=False)
    of_door = (one for one in findings if one.check in OF_DOOR or one.check.startswith(OWN))
    return tuple(replace(one, evidence=f"front door: {one.evidence}") for one in of_door)


def _fit(profile: Profile) -> Finding:
    """Whether the replicas fit on this machine, and how a new revision would replace them."""
    settings = profile.service
    assert settings is not None  # noqa: S101  (the caller looked)
    service = find_service(profile.name)
    answer: Answer = "PASS"
    remedy = None
    try:
        members = service.read().members if service is not None else ()
        room = machine.measure(profile, members, named=f"{profile.name}{SUFFIX}")
        decided = layout(settings.strategy, room, members, settings.replicas)
        evidence = f"{settings.replicas} replicas fit: {decided.strategy}, because {decided.reason}"
        if room.sets is not None:
            sets = " ".join(",".join(one) for one in room.sets)
            evidence += f"; sets of GPUs: {sets or 'none'}"
    except DeployError as error:
        problem = error.problems[0]
        impossible = problem.code == "strategy-impossible"
        answer = "FAIL" if impossible else "UNKNOWN"
        evidence, remedy = problem.message, problem.remedy
    return Finding(
        "replicas", "all replicas of the service fit on this machine", answer, evidence,
        "a replica that does not fit fails in the midst of a rollout", remedy, fast=False,
    )  # fmt: skip
