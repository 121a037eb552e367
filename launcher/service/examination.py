"""`doctor` of a profile with a service: one replica, the front door, and whether all fit here."""

from __future__ import annotations

from dataclasses import replace

from launcher import doctor, engines
from launcher.doctor import Finding
from launcher.doctor.model import Answer
from launcher.door.config import DoorSettings
from launcher.door.door import CONFIG
from launcher.door.gateway import GatewaySettings, config_name, gateway_profile
from launcher.door.keys import KeyTable
from launcher.door.profile import door_profile
from launcher.errors import DeployError
from launcher.instance.store import instance_dir, keeper_of
from launcher.profile.model import Port, Profile
from launcher.profile.service import ServiceSettings
from launcher.service import dialects, groups, machine
from launcher.service.keys import SALT_BYTES, examine_keys
from launcher.service.layout import layout
from launcher.service.model import Member, ServiceState
from launcher.service.revision import replica_profile
from launcher.service.store import DOOR, find_service, service_dir

OF_DOOR = ("engine", "ports")
"""Checks that the front door has beside its own and those of a replica."""
OWN = "haproxy-"
OWN_OF_GATEWAY = "gateway-version"
SUFFIX = "-replica"


def example_replica(profile: Profile) -> Profile:
    """The profile of a replica as it would be started; its name says that none is meant."""
    return replica_profile(profile, example_member(profile))


def example_member(profile: Profile) -> Member:
    """A replica that is none, with the instances and GPUs that one would have."""
    service = profile.service
    gpus = service.gpus[0] if service is not None and service.gpus else None
    name = f"{profile.name}{SUFFIX}"
    return Member(name, "", 0, gpus, parts=groups.parts_of(profile, name, gpus))


def examine(profile: Profile, *, only_fast: bool) -> tuple[Finding, ...]:
    """The findings about one replica, then those about the front door and about all together.

    Of a group each instance is examined; what one and the same check says of several is said once.

    Raises:
        UsageError: the engine does not exist.
    """
    member = example_member(profile)
    if not member.parts:
        findings = doctor.run(doctor.of_profile(example_replica(profile)), only_fast=only_fast)
        return (*findings, *_front_findings(profile), _fit(profile))
    return (*_group_findings(profile, member, only_fast), *_front_findings(profile), _fit(profile))


def _group_findings(profile: Profile, member: Member, only_fast: bool) -> list[Finding]:
    """Every instance's findings; those of the router are only what concerns it alone."""
    try:
        router, *parts = groups.profiles_of(profile, member)
    except DeployError as error:
        problem = error.problems[0]
        return [
            Finding(
                "router", "the group's router can be run", "FAIL", problem.message,
                "without it no instance of the group answers", problem.remedy, fast=True,
            )
        ]  # fmt: skip
    findings: dict[tuple[str, str, str], Finding] = {}
    for one in parts:
        for finding in doctor.run(doctor.of_profile(one), only_fast=only_fast):
            findings.setdefault((finding.check, finding.status, finding.evidence), finding)
    own = [one.id for one in engines.get(router.engine).doctor_checks()]
    for finding in doctor.run(doctor.of_profile(router), only_fast=only_fast):
        if finding.check in (*own, "ports"):
            named = replace(finding, evidence=f"router: {finding.evidence}")
            findings[(finding.check, finding.status, named.evidence)] = named
    return list(findings.values())


def _front_findings(profile: Profile) -> tuple[Finding, ...]:
    return (*_door_findings(profile), *_gateway_findings(profile), *_keys(profile))


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
        keys=KeyTable("/", "00" * SALT_BYTES) if profile.service and profile.service.keys else None,
    )
    subject = doctor.of_profile(
        door_profile(settings, service_dir(profile.name).folder / CONFIG),
        keeper=keeper_of(instance_dir(instance)),
    )
    findings = doctor.run(subject, only_fast=False)
    of_door = (one for one in findings if one.check in OF_DOOR or one.check.startswith(OWN))
    return tuple(replace(one, evidence=f"front door: {one.evidence}") for one in of_door)


def _keys(profile: Profile) -> tuple[Finding, ...]:
    """Whether the keys of clients can be had and used; nothing where there are none."""
    settings = profile.service
    if settings is None or not settings.keys:
        return ()
    problems = examine_keys(profile, service_dir(profile.name))
    return (
        Finding(
            "service-keys", "the API keys of clients can be used",
            "FAIL" if problems else "PASS",
            "; ".join(one.message for one in problems) or f"{len(settings.keys)} keys",
            "a key that is missing, short or given to two names is found before it is deployed",
            problems[0].remedy if problems else None, fast=True,
        ),
    )  # fmt: skip


def _gateway_findings(profile: Profile) -> tuple[Finding, ...]:
    """Whether the gateway of Anthropic's dialect can be started; none where none is needed."""
    if not dialects.has_gateway(service_dir(profile.name), ServiceState(profile.name), profile):
        return ()
    settings = GatewaySettings(profile.name, dialects.UNKNOWN_UPSTREAM, profile.model, 1800.0)
    service = service_dir(profile.name)
    name = service.gateway_instances[0]
    subject = doctor.of_profile(
        gateway_profile(settings, name, service.folder / config_name(settings)),
        keeper=keeper_of(instance_dir(name)),
    )
    findings = doctor.run(subject, only_fast=False)
    of_gateway = (one for one in findings if one.check in (*OF_DOOR, OWN_OF_GATEWAY))
    return tuple(replace(one, evidence=f"gateway: {one.evidence}") for one in of_gateway)


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
