"""Collects the serving card of an instance or a service: reads and asks, and changes nothing."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import doctor
from launcher.card import parts, runs, versions
from launcher.card.payloads import (
    CardBench,
    CardInstance,
    CardMemory,
    CardProfile,
    CardSmoke,
    MemoryUse,
    ServingCard,
    Versions,
)
from launcher.card.values import card_profile, without_secrets
from launcher.doctor.model import Finding
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.host.processes import resident_bytes
from launcher.instance.logs import redactor, secret_values
from launcher.instance.origins import read_origins
from launcher.instance.status import Source, describe, message
from launcher.instance.store import InstanceDir, foreign_host, instance_dir, keeper_of
from launcher.json_values import JsonObject
from launcher.lifecycle import LIVE
from launcher.observe.events import Selection, read
from launcher.observe.incidents import list_incidents
from launcher.observe.overview import Observer
from launcher.plan.model import LaunchPlan
from launcher.preparation.memory import history, memory_plan
from launcher.profile.build import build
from launcher.profile.model import Profile
from launcher.redact import Redactor
from launcher.result import Result
from launcher.service import events as service_events
from launcher.service import examination
from launcher.service.instances import all_instances, current_instances
from launcher.service.model import HistoryEntry
from launcher.service.payloads import ServiceStatus
from launcher.service.revision import profile_of
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir

MOST_EVENTS = 60
"""Events of a card: the newest."""
MOST_INCIDENTS = 40
MOST_HISTORY = 20
LOOK = 3.0
"""Seconds in which `/metrics` and the GPUs have to answer."""


@dataclass(frozen=True)
class Inputs:
    """What the command line gives: runs that stand in a file or were made now; None: the last."""

    smoke: CardSmoke | None = None
    bench: CardBench | None = None


@dataclass(frozen=True)
class Subject:
    """What a card is about, as it lies on disk; `since` is when what runs now was started."""

    name: str
    instances: tuple[InstanceDir, ...]
    profile: Profile
    resolved: JsonObject
    plan: LaunchPlan
    run_folders: tuple[Path, ...]
    since: float | None
    redactor: Redactor
    all_instances: tuple[InstanceDir, ...]
    service: ServiceDir | None = None
    revision: str | None = None


def card_of_instance(instance: InstanceDir, inputs: Inputs) -> Result[ServingCard]:
    """The card of one instance; exit code 1 where a part of it fails.

    Raises:
        PreconditionError: it has no readable plan: nothing was started.
    """
    plan = instance.plan()
    resolved = instance.profile()
    path = str(instance.folder / "profile.json")
    profile = dataclasses.replace(build(resolved, path), origins=read_origins(instance))
    _, since = _times(instance)
    subject = Subject(
        instance.name, (instance,), profile, resolved, plan, (instance.folder,), since,
        redactor(instance), (instance,),
    )  # fmt: skip
    findings, note = _doctor(
        lambda: doctor.run(doctor.of_profile(profile, keeper=keeper_of(instance)))
    )
    events = read(instance, Selection(last=MOST_EVENTS), subject.redactor)
    return _card(subject, inputs, findings, note, events)


def card_of_service(service: ServiceDir, inputs: Inputs) -> Result[ServingCard]:
    """The card of a service: one replica's profile and memory plan, and all of its instances.

    Raises:
        PreconditionError: its state is damaged, it serves nothing, or it has no instance to read.
    """
    state = service.read()
    if state.revision is None or not state.members:
        raise PreconditionError.of(
            "service-stopped", f"{service.name} does not serve", None,
            "`ernie-deploy deploy PROFILE` starts it",
        )  # fmt: skip
    revision = service.revision(state.revision)
    profile = profile_of(revision, state.section)
    current = tuple(current_instances(service))
    replicas = [instance_dir(member.name) for member in state.members]
    begun = [at for _, at in map(_times, replicas) if at is not None]
    secrets = [value for one in current for value in secret_values(one)]
    every = tuple(all_instances(service))
    subject = Subject(
        service.name, current, profile, profile.resolved, replicas[0].plan(),
        (service.folder, *(one.folder for one in current)), max(begun, default=None),
        Redactor(secrets), every, service, state.revision,
    )  # fmt: skip
    findings, note = _doctor(lambda: examination.examine(profile, only_fast=False))
    events = service_events.read_events(service, Selection(last=MOST_EVENTS))
    return _card(subject, inputs, findings, note, events)


def _card(
    subject: Subject,
    inputs: Inputs,
    findings: tuple[Finding, ...],
    doctor_note: str | None,
    events: Sequence[JsonObject],
) -> Result[ServingCard]:
    service = describe_service(subject.service) if subject.service is not None else None
    instances = _instances(subject, service)
    memory = _memory(subject.profile, subject.plan, instances)
    smoke, smoke_note = inputs.smoke, None
    if smoke is None:
        smoke, smoke_note = runs.kept_smoke(subject.name, subject.run_folders, subject.since)
    bench, bench_note = inputs.bench, None
    if bench is None:
        bench, bench_note = runs.kept_bench(subject.name, subject.since)
    listed = list_incidents(subject.all_instances, subject.name).payload
    rows = listed.incidents[:MOST_INCIDENTS]
    summary = (
        parts.state(service, instances),
        parts.doctor(findings, doctor_note),
        parts.memory(memory),
        parts.smoke(smoke, smoke_note),
        parts.bench(bench, bench_note),
        parts.incidents(listed.incidents, subject.since),
    )
    clean = subject.redactor
    card = ServingCard(
        name=subject.name,
        kind="instance" if subject.service is None else "service",
        made_at=round(time.time(), 3),
        parts=without_secrets(summary, clean),
        profile=without_secrets(_profile(subject), clean),
        versions=without_secrets(_versions(subject), clean),
        memory=without_secrets(memory, clean),
        instances=without_secrets(instances, clean),
        service=without_secrets(service, clean),
        history=without_secrets(_history(subject.service), clean),
        doctor=without_secrets(findings, clean),
        doctor_note=doctor_note,
        smoke=smoke,
        smoke_note=smoke_note,
        bench=bench,
        bench_note=bench_note,
        incidents=without_secrets(rows, clean),
        unreadable=listed.unreadable,
        events=tuple(events),
    )
    return _result(card)


def _result(card: ServingCard) -> Result[ServingCard]:
    if not card.failed:
        return Result("report", card, card.name)
    names = ", ".join(part.name for part in card.failed)
    first = card.failed[0]
    problem = Problem(
        "card-failed", f"{card.name} fails: {names} ({first.title}: {first.message})", None,
        f"`ernie-deploy explain card-failed`; `ernie-deploy status {card.name}`",
    )  # fmt: skip
    return Result("report", card, card.name, ExitCode.NEGATIVE, (problem,))


def _profile(subject: Subject) -> CardProfile:
    path = _given_path(subject)
    origins = subject.profile.origins
    return card_profile(
        subject.resolved, origins, subject.plan, path=path, revision=subject.revision
    )


def _given_path(subject: Subject) -> str | None:
    """The file that was given: the one in which the model stands, or the name."""
    if subject.service is not None:
        return subject.profile.path
    for key in ("model", "name", "engine"):
        origin = subject.profile.origins.get(key)
        if origin is not None and origin.line is not None:
            return os.path.abspath(origin.source) if os.path.isabs(origin.source) else origin.source
    return None


def _versions(subject: Subject) -> Versions:
    return Versions(
        tool=versions.tool(),
        engine=versions.engine(subject.plan),
        weights=versions.weights(subject.profile),
        host=versions.host(),
    )


def _doctor(
    examine: Callable[[], tuple[Finding, ...]],
) -> tuple[tuple[Finding, ...], str | None]:
    """The findings, or why the doctor could not look."""
    try:
        return examine(), None
    except DeployError as error:
        return (), f"the doctor could not look: {error}"


def _memory(profile: Profile, plan: LaunchPlan, instances: Sequence[CardInstance]) -> CardMemory:
    lessons = history(profile)
    lesson = lessons[-1] if lessons else None
    is_running = any(one.status.state in LIVE for one in instances)
    try:
        result = memory_plan(
            profile, version=plan.release, gpu=None, largest=False, is_running=is_running
        )
    except DeployError as error:
        return CardMemory(None, error.problems[0].message, lesson)
    return CardMemory(result.payload, None, lesson)


def _instances(subject: Subject, service: ServiceStatus | None) -> tuple[CardInstance, ...]:
    rows = {row.name: row for row in Observer().look(subject.instances, LOOK, once=True)}
    roles = _roles(service)
    cards = []
    for instance in subject.instances:
        status = describe(instance, source=Source.BOTH)
        status = dataclasses.replace(status, message=message(status))
        row = rows[instance.name]
        pids, _ = _times(instance)
        resident = sum(resident_bytes(pid) for pid in pids)
        limit, window, policy = _restart_policy(instance)
        cards.append(
            CardInstance(
                status,
                MemoryUse(len(pids), resident or None, row.gpu_memory, row.load),
                roles.get(instance.name, "replica" if service else "instance"),
                row.restarts, policy, limit, window,
            )
        )  # fmt: skip
    return tuple(cards)


def _restart_policy(instance: InstanceDir) -> tuple[int, float, str]:
    try:
        policy = instance.plan().restart
    except DeployError:
        return 0, 0.0, ""
    return policy.max_restarts, policy.window, policy.policy


def _roles(service: ServiceStatus | None) -> Mapping[str, str]:
    if service is None:
        return {}
    roles = {f"{service.name}-door": "front door", f"{service.name}-gateway": "gateway"}
    roles[f"{service.name}-gateway-2"] = "gateway"
    for member in service.members:
        roles.update({part.name: part.role for part in member.group})
    return roles


def _times(instance: InstanceDir) -> tuple[list[int], float | None]:
    """The pids of a live instance's processes, and when it was started (Unix seconds)."""
    try:
        state = instance.state()
    except ValueError:
        return [], None
    if state is None:
        return [], None
    is_here = state.live and foreign_host(state) is None
    pids = [one.pid for one in state.processes] if is_here else []
    return pids, state.started_at or None


def _history(service: ServiceDir | None) -> tuple[HistoryEntry, ...]:
    if service is None:
        return ()
    return tuple(reversed(service.history()))[:MOST_HISTORY]
