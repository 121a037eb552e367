"""`status` of a service: its replicas, their part of the traffic, and the rollout under way."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from launcher.door.runtime import ServerState
from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.instance_status import InstanceStatus, Status
from launcher.instance.status import KEEPER_TIMEOUT, Source, describe, message
from launcher.instance.store import instance_dir, view
from launcher.lifecycle import InstanceState
from launcher.result import Result
from launcher.service.dialects import gateway_state, has_gateway
from launcher.service.model import Member, Rollout, ServiceState
from launcher.service.payloads import (
    PartStatus,
    ReplicaStatus,
    RolloutStatus,
    ServiceCondition,
    ServiceStatus,
    StatusWithServices,
)
from launcher.service.revision import profile_of
from launcher.service.store import DOOR, GATEWAYS, ServiceDir
from launcher.service.traffic import Traffic


def one_service(service: ServiceDir) -> Result[Status]:
    """The result of `status` of one service: exit code 0 only if it is served as it should be.

    Raises:
        PreconditionError: its state is damaged.
    """
    row = describe_service(service)
    data = StatusWithServices(services=(row,))
    return Result("status", data, service.name, _code([row]), _problems([row]))


def with_services(result: Result[Status], services: Sequence[ServiceDir]) -> Result[Status]:
    """`status` of all: the instances, and the services that they make up."""
    rows = []
    for service in services:
        try:
            rows.append(describe_service(service))
        except DeployError as error:
            problem = error.problems[0]
            result = replace(result, exit_code=ExitCode.NEGATIVE, errors=(*result.errors, problem))
    ours = {
        name
        for row in rows
        for name in (*(f"{row.name}{end}" for end in (DOOR, *GATEWAYS)), *_instances(row))
    }
    errors = tuple(
        problem
        for problem, instance in zip(result.errors, _ill(result), strict=False)
        if instance not in ours
    )
    errors = (*errors, *result.errors[len(_ill(result)) :], *_problems(rows))
    code = ExitCode.NEGATIVE if errors else _code(rows)
    data = StatusWithServices(result.payload.instances, tuple(rows))
    return replace(result, data=data, errors=errors, exit_code=code)


def _instances(row: ServiceStatus) -> tuple[str, ...]:
    return tuple(name for member in row.members for name in (member.name, *member.parts))


def _ill(result: Result[Status]) -> list[str]:
    """The instances that the errors of `status` are about, in their order."""
    well = (InstanceState.STOPPED, InstanceState.ABSENT)
    return [
        row.name for row in result.payload.instances if not row.is_healthy and row.state not in well
    ]


def _code(rows: Sequence[ServiceStatus]) -> ExitCode:
    return ExitCode.NEGATIVE if _problems(rows) else ExitCode.DONE


def _problems(rows: Sequence[ServiceStatus]) -> tuple[Problem, ...]:
    return tuple(
        Problem("service-not-serving", row.message, None, row.remedy)
        for row in rows
        if row.condition in ("degraded", "down", "interrupted")
    )


def describe_service(service: ServiceDir) -> ServiceStatus:
    """Everything `status` says about one service.

    Raises:
        PreconditionError: its state is damaged.
    """
    state = service.read()
    door_state, _, _ = view(instance_dir(service.door_instance))
    listed = Traffic(service).servers(state) if door_state == InstanceState.READY else {}
    rows = _rows(state.members)
    total = sum(member.weight for member in state.members) or 1
    members = tuple(
        _replica(member, rows, listed.get(member.name), member.weight / total)
        for member in state.members
    )
    owner = service.owner()
    rollout = _rollout(state.rollout, owner.describe() if owner else None)
    ready = sum(one.state == InstanceState.READY and one.weight > 0 for one in members)
    gateway = _gateway(service, state)
    condition = _condition(state, ready, door_state, rollout)
    if condition == "serving" and gateway not in (None, InstanceState.READY):
        condition = "degraded"
    revision = _engine(service, state)
    hold = service.hold()
    holder = hold.describe() if hold else None
    text, remedy = _message(service.name, state, condition, ready, door_state, rollout, members)
    if condition == "degraded" and ready >= state.replicas:
        text = f"{text}; /v1/messages is not answered: its gateway is {gateway}"
        remedy = f"`ernie-deploy diagnose {service.name}`"
    return ServiceStatus(
        name=service.name,
        condition=condition,
        revision=state.revision,
        replicas=state.replicas,
        ready=ready,
        url=state.door.url if state.door else None,
        engine=revision[0],
        release=revision[1],
        door_state=door_state,
        gateway_state=gateway,
        members=members,
        rollout=rollout,
        held=holder,
        message=text,
        remedy=remedy,
    )


def _gateway(service: ServiceDir, state: ServiceState) -> InstanceState | None:
    """The state of the gateway; None where none is needed, or nothing serves."""
    if state.revision is None or not state.members:
        return None
    try:
        profile = profile_of(service.revision(state.revision), state.section)
        needed = has_gateway(service, state, profile)
    except DeployError:
        return None
    return gateway_state(service) if needed else None


def _rows(members: Sequence[Member]) -> Mapping[str, InstanceStatus]:
    """The status of every instance, asked of all at the same time."""
    rows = {name: InstanceStatus(name) for member in members for name in member.instances}

    def ask(name: str) -> None:
        try:
            row = describe(instance_dir(name), source=Source.VERDICT)
        except DeployError as error:
            row = InstanceStatus(name, note=str(error))
        rows[name] = row

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(KEEPER_TIMEOUT + 1)
    return rows


def _replica(
    member: Member,
    rows: Mapping[str, InstanceStatus],
    server: ServerState | None,
    share: float,
) -> ReplicaStatus:
    """A replica; of a group the worst instance counts, one behind the router first."""
    own = rows[member.name]
    ill = [rows[name] for name in member.instances if not rows[name].is_healthy]
    row = ill[0] if ill else own
    text = "" if row.is_healthy else message(row)
    state = row.state
    return ReplicaStatus(
        name=member.name,
        revision=member.revision,
        state=state,
        weight=member.weight,
        share=round(share, 4),
        door=server.state if server else None,
        sessions=server.sessions if server else None,
        url=own.planned.base_url if own.planned else None,
        message=text,
        parts=tuple(part.instance for part in member.parts),
        group=_group(member, rows) if member.parts else (),
    )


def _group(member: Member, rows: Mapping[str, InstanceStatus]) -> tuple[PartStatus, ...]:
    """The instances of a group, its router first."""
    listed = ((member.name, "router", None), *((p.instance, p.role, p.gpus) for p in member.parts))
    return tuple(
        PartStatus(
            name, role, rows[name].state, gpus, instance_dir(name).ports(),
            "" if rows[name].is_healthy else message(rows[name]),
        )
        for name, role, gpus in listed
    )  # fmt: skip


def _rollout(rollout: Rollout | None, owner: str | None) -> RolloutStatus | None:
    if rollout is None:
        return None
    action = rollout.current
    text = f"{action.kind} {', '.join(action.members)}".rstrip() if action else "commit"
    return RolloutStatus(
        id=rollout.id,
        kind=rollout.kind,
        strategy=rollout.strategy,
        source=rollout.source,
        target=rollout.target,
        direction=rollout.direction,
        done=rollout.done,
        total=len(rollout.actions),
        action=text,
        owner=owner,
        started_at=rollout.started_at,
        error=rollout.failure.message if rollout.failure else None,
    )


def _condition(
    state: ServiceState, ready: int, door: InstanceState, rollout: RolloutStatus | None
) -> ServiceCondition:
    if rollout is not None:
        return "changing" if rollout.owner else "interrupted"
    if not state.members:
        return "stopped"
    if ready == 0 or door != InstanceState.READY:
        return "down"
    return "serving" if ready >= state.replicas else "degraded"


def _message(
    name: str,
    state: ServiceState,
    condition: ServiceCondition,
    ready: int,
    door: InstanceState,
    rollout: RolloutStatus | None,
    members: Sequence[ReplicaStatus],
) -> tuple[str, str | None]:
    """One sentence, and what to do where something is wrong."""
    serving = f"{name} is served by {ready} of {state.replicas} replicas"
    if rollout is not None:
        way = "to" if rollout.direction == "forward" else "back from"
        doing = f"a rollout {way} {rollout.target} is at step {rollout.done + 1} of"
        doing += f" {rollout.total} ({rollout.action})"
        if rollout.owner:
            return f"{serving}; {doing}, by {rollout.owner}", None
        remedy = f"`ernie-deploy deploy --resume {name}` goes on, `--abort` goes back"
        return f"{serving}; {doing}, and its command has ended", remedy
    if condition == "stopped":
        return f"{name} is stopped", "`ernie-deploy deploy PROFILE` starts it"
    if condition == "serving":
        return f"{serving}, revision {state.revision}", None
    if door != InstanceState.READY:
        message_text = f"{name} is down: its front door {name}-door is {door}"
        return message_text, f"`ernie-deploy diagnose {name}-door`"
    ill = next((one for one in members if one.message), None)
    why = f": {ill.message}" if ill else ""
    return f"{serving}{why}", f"`ernie-deploy diagnose {ill.name}`" if ill else None


def _engine(service: ServiceDir, state: ServiceState) -> tuple[str | None, str | None]:
    if state.revision is None:
        return None, None
    try:
        revision = service.revision(state.revision)
    except DeployError:
        return None, None
    return revision.engine, revision.release
