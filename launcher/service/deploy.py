"""`deploy`, `rollback`, `scale` and their `--resume` and `--abort`: one rollout at a time."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from launcher.errors import ExitCode, PreconditionError, Problem, UsageError
from launcher.instance.interrupt import Interrupt, interruptible
from launcher.instance.store import instance_dir
from launcher.instance.up import Preflight
from launcher.json_values import JsonObject, object_at
from launcher.preparation import prepare
from launcher.profile.model import Profile
from launcher.profile.service import ServiceSettings, Strategy
from launcher.result import Result
from launcher.service import actions, dialects, groups, machine, replicas
from launcher.service.executor import Ended, Executor
from launcher.service.failure import StepFailed, problem_of
from launcher.service.layout import Layout, layout
from launcher.service.model import Action, Kind, Member, Owner, Rollout, ServiceState
from launcher.service.payloads import Deployed
from launcher.service.replicas import OnEvent
from launcher.service.revision import profile_of, revision_of, section_of
from launcher.service.store import ServiceDir, open_service, service_dir, this_owner
from launcher.service.traffic import Traffic


@dataclass(frozen=True)
class Request:
    """How a change is asked for; `preflight` is run for each replica before it starts."""

    on_event: OnEvent
    preflight: Preflight
    message: str = ""
    strategy: Strategy | None = None
    dry_run: bool = False


def deploy(profile: Profile, request: Request, *, again: bool = False) -> Result[Deployed]:
    """Serve this content of the profile; what served before goes on until the new one is proved.

    With `again` the replicas are replaced although the revision serves already.

    Raises:
        DeployError: a precondition failed; nothing was started then.
    """
    settings = profile.service
    if settings is None:
        raise UsageError.of(
            "no-service", f"the profile {profile.name} has no `service:` section", profile.path,
            "add `service: {replicas: 1}`, or start a single instance with `ernie-deploy up`",
        )  # fmt: skip
    service = service_dir(profile.name)
    if instance_dir(profile.name).exists:
        raise PreconditionError.of(
            "name-taken", f"{profile.name} is the name of an instance", profile.where("name"),
            f"stop it and remove {instance_dir(profile.name).folder}, or use `--name`",
        )  # fmt: skip
    _, _, release = prepare.engine_of(profile)
    revision = revision_of(profile, release)
    with _changing(service, "deploy", request) as owner:
        state = idle_state(service)
        section = section_of(profile)
        service.keep_revision(revision, (state.revision, state.previous))
        if state.members and state.revision == revision.id and not again:
            return _same_revision(service, state, section, settings.replicas, request, owner)
        kind: Kind = "restart" if again else "deploy"
        return _replace(service, state, kind, revision.id, section, settings, request, owner)


def rollback(name: str, request: Request, *, to: str | None = None) -> Result[Deployed]:
    """Serve an earlier revision again: `to`, else the one that served before.

    Raises:
        DeployError: there is none, or a precondition failed.
    """
    service = open_service(name)
    with _changing(service, "rollback", request) as owner:
        state = idle_state(service)
        target = to or state.previous
        if target is None:
            raise PreconditionError.of(
                "no-previous-revision", f"{name} has served one revision only", None,
                f"`ernie-deploy history {name}` lists its revisions",
            )  # fmt: skip
        revision = service.revision(target)
        if target == state.revision and state.members:
            return _nothing(service, state, "rollback", f"revision {target} serves already")
        profile = profile_of(revision, state.section)
        settings = profile.service or ServiceSettings()
        return _replace(service, state, "rollback", target, state.section, settings, request, owner)


def scale(name: str, count: int, request: Request) -> Result[Deployed]:
    """Serve the same revision with `count` replicas.

    Raises:
        DeployError: it does not serve, or a precondition failed.
    """
    service = open_service(name)
    with _changing(service, "scale", request) as owner:
        state = idle_state(service)
        if state.revision is None or not state.members:
            raise PreconditionError.of(
                "service-stopped", f"{name} does not serve", None,
                "`ernie-deploy deploy PROFILE` starts it",
            )  # fmt: skip
        section = _with_replicas(state.section, count)
        return _same_revision(service, state, section, count, request, owner)


def resume(name: str, request: Request) -> Result[Deployed]:
    """Go on with a rollout whose command has ended, forward or back.

    Raises:
        PreconditionError: there is none.
    """
    service = open_service(name)
    with _changing(service, "deploy --resume", request):
        state = _unfinished_state(service)
        return _execute(service, state, request)


def abort(name: str, request: Request) -> Result[Deployed]:
    """Lead a rollout whose command has ended back to the old revision.

    Raises:
        PreconditionError: there is none.
    """
    service = open_service(name)
    with _changing(service, "deploy --abort", request):
        state = _unfinished_state(service)
        return _execute(service, state, request, abort=True)


# -- what has to be done --------------------------------------------------------------------------


def _same_revision(
    service: ServiceDir,
    state: ServiceState,
    section: JsonObject,
    count: int,
    request: Request,
    owner: Owner,
) -> Result[Deployed]:
    """Change the number of replicas, start those that ended, and apply the door's settings."""
    assert state.revision is not None  # noqa: S101  (the caller looked)
    working = [one for one in state.members if _works(one)]
    ended = [one for one in state.members if one not in working]
    profile = profile_of(service.revision(state.revision), section)
    more = count - len(state.members)
    unchanged = (
        section == state.section
        and replicas.is_ready(service.door_instance)
        and not Traffic(service).keys_differ(profile)
        and dialects.is_served(service, state, profile)
    )
    if more == 0 and not ended and unchanged and state.replicas == count:
        return _nothing(
            service, state, "scale", f"revision {state.revision} serves already, by {count}"
        )
    new: list[Member] = []
    if more > 0:
        room = machine.measure(
            profile, state.members, named=_candidate(service, state, state.revision)
        )
        why = room.fits(more, state.members)
        if why is not None:
            raise PreconditionError.of(
                "strategy-impossible", why, "service.replicas",
                "fewer replicas, or more devices in `service.gpus`",
            )  # fmt: skip
        sets = room.free_sets(state.members) if room.sets is not None else [None] * more
        new = _members(service, state, state.revision, profile, tuple(sets[:more]))
    leaving = list(state.members[len(state.members) + more :]) if more < 0 else []
    starting = [one for one in ended if one not in leaving] + new
    steps = actions.scale(state.members, starting, leaving)
    return _begin(
        service, state, "scale", state.revision, section, count, request, owner,
        Layout("rolling", "the revision stays", tuple(one.gpus for one in new)),
        new, steps, old=state.members,
    )  # fmt: skip


def _replace(
    service: ServiceDir,
    state: ServiceState,
    kind: Kind,
    target: str,
    section: JsonObject,
    settings: ServiceSettings,
    request: Request,
    owner: Owner,
) -> Result[Deployed]:
    """Replace all replicas by those of the revision `target`."""
    profile = profile_of(service.revision(target), section)
    count = settings.replicas
    room = machine.measure(profile, state.members, named=_candidate(service, state, target))
    decided = layout(request.strategy or settings.strategy, room, state.members, count)
    new = _members(service, state, target, profile, decided.devices)
    steps = actions.forward(decided.strategy, state.members, new, settings.rollout)
    return _begin(
        service, state, kind, target, section, count, request, owner, decided, new, steps,
        old=state.members,
    )  # fmt: skip


def _begin(
    service: ServiceDir,
    state: ServiceState,
    kind: Kind,
    target: str,
    section: JsonObject,
    count: int,
    request: Request,
    owner: Owner,
    decided: Layout,
    new: Sequence[Member],
    steps: tuple[Action, ...],
    *,
    old: tuple[Member, ...],
) -> Result[Deployed]:
    traffic, settings = Traffic(service), profile_of(service.revision(target), section)
    traffic.check(state, settings)
    if decided.strategy != "recreate":
        traffic.check_engine_key(state, settings)
    downtime = None
    if decided.strategy == "recreate" and old:
        downtime = machine.expected_downtime(old)
    if request.dry_run:
        planned = Deployed(
            service.name, state.revision, state.previous, count, kind, None, decided.strategy,
            decided.reason, state.door.url if state.door else None,
            tuple(one.name for one in new), dry_run=True, planned=steps,
            devices=decided.devices, parts={one.name: one.parts for one in new if one.parts},
            downtime=downtime if old else 0.0,
        )  # fmt: skip
        return Result("deploy", planned, service.name)
    rollout = Rollout(
        id=secrets.token_hex(4),
        kind=kind,
        strategy=decided.strategy,
        source=state.revision if old else None,
        target=target,
        replicas=count,
        section=section,
        old=old,
        new=tuple(new),
        actions=steps,
        owner=owner,
        started_at=round(time.time(), 3),
        section_before=state.section or section,
    )
    state = service.write(replace(state, rollout=rollout))
    message = f"{target} of {service.name}, {decided.strategy}: {decided.reason}"
    if downtime is not None:
        message += f"; nothing serves for about {downtime:.0f} s"
    request.on_event({
        "event": "rollout", "action": "revision", "message": message,
        "time": round(time.time(), 3), "service": service.name,
    })  # fmt: skip
    return _execute(service, state, request, reason=decided.reason)


def _execute(
    service: ServiceDir,
    state: ServiceState,
    request: Request,
    *,
    abort: bool = False,
    reason: str = "",
) -> Result[Deployed]:
    assert state.rollout is not None  # noqa: S101  (the caller wrote or read one)
    rollout = state.rollout
    executor = Executor(service, state, request.on_event, request.preflight)
    interrupt: Interrupt
    with interruptible() as interrupt:
        try:
            if abort and rollout.direction == "forward":
                executor.turn_back(None, aborted=True)
            ended = executor.run()
        except KeyboardInterrupt:
            problem = Problem(
                "rollout-interrupted",
                f"the rollout of {service.name} was interrupted; the old revision serves", None,
                "`ernie-deploy deploy --resume NAME` goes on, `--abort` goes back".replace(
                    "NAME", service.name
                ),
            )  # fmt: skip
            data = _deployed(executor.state, rollout, None, reason)
            return Result(_verb(rollout), data, service.name, interrupt.exit_code, (problem,))
        except StepFailed as failed:
            remedy = failed.problem.remedy or ""
            problem = Problem(
                "way-back-failed",
                f"the way back to the old revision failed: {failed.problem.message}",
                failed.problem.where,
                f"{remedy}; then `ernie-deploy deploy --abort {service.name}` tries again".lstrip(
                    "; "
                ),
            )  # fmt: skip
            data = _deployed(executor.state, rollout, None, reason)
            return Result(_verb(rollout), data, service.name, failed.exit_code, (problem,))
    if abort and ended.outcome != "serving":
        # That is what was asked for.
        return Result("deploy", _deployed(ended.state, rollout, ended, reason), service.name)
    return _finished(service, rollout, ended, reason)


def _finished(service: ServiceDir, rollout: Rollout, ended: Ended, reason: str) -> Result[Deployed]:
    data = _deployed(ended.state, rollout, ended, reason)
    if ended.outcome == "serving" or ended.failure is None:
        return Result(_verb(rollout), data, service.name)
    problem = problem_of(ended.failure)
    serves = f"revision {ended.state.revision} serves" if rollout.old else "nothing serves"
    problem = replace(problem, message=f"{problem.message}; {serves}")
    code = ExitCode(ended.failure.exit_code)
    return Result(_verb(rollout), data, service.name, code, (problem,))


def _deployed(state: ServiceState, rollout: Rollout, ended: Ended | None, reason: str) -> Deployed:
    return Deployed(
        service=state.name,
        revision=state.revision,
        previous=state.previous,
        replicas=state.replicas,
        kind=rollout.kind,
        outcome=ended.outcome if ended else None,
        strategy=rollout.strategy,
        reason=reason,
        url=state.door.url if state.door else None,
        members=tuple(one.name for one in state.members),
        smoke=ended.smoke if ended else (state.rollout or rollout).smoke,
        seconds=round(time.time() - rollout.started_at, 3),
    )


def _nothing(service: ServiceDir, state: ServiceState, kind: Kind, note: str) -> Result[Deployed]:
    data = Deployed(
        service.name, state.revision, state.previous, state.replicas, kind, None,
        url=state.door.url if state.door else None,
        members=tuple(one.name for one in state.members), note=note,
    )  # fmt: skip
    return Result("deploy", data, service.name)


def _verb(rollout: Rollout) -> str:
    return {"rollback": "rollback", "scale": "scale"}.get(rollout.kind, "deploy")


# -- parts ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _changing(service: ServiceDir, command: str, request: Request) -> Iterator[Owner]:
    """Hold the service's lock; who forbade changes is asked first."""
    if not request.dry_run:
        service.check_hold()
    owner = this_owner(command, request.message)
    with service.locked(owner):
        yield owner


def idle_state(service: ServiceDir) -> ServiceState:
    """What the service is while no rollout is under way; the caller holds its lock.

    Raises:
        PreconditionError: `rollout-unfinished`: one is.
    """
    state = service.read()
    if state.rollout is not None:
        raise PreconditionError.of(
            "rollout-unfinished",
            f"a rollout of {service.name} to {state.rollout.target} is not over: its command ended"
            f" before `{_current(state.rollout)}`", str(service.folder),
            f"`ernie-deploy deploy --resume {service.name}` goes on, `--abort` goes back",
        )  # fmt: skip
    return state


def _unfinished_state(service: ServiceDir) -> ServiceState:
    state = service.read()
    if state.rollout is None:
        raise PreconditionError.of(
            "no-rollout", f"no rollout of {service.name} is under way", None,
            f"`ernie-deploy status {service.name}`",
        )  # fmt: skip
    return state


def _current(rollout: Rollout) -> str:
    action = rollout.current
    return f"{action.kind} {', '.join(action.members)}".rstrip() if action else "commit"


def _works(member: Member) -> bool:
    return member.weight > 0 and all(replicas.is_ready(name) for name in member.instances)


def _members(
    service: ServiceDir,
    state: ServiceState,
    revision: str,
    profile: Profile,
    devices: Sequence[tuple[str, ...] | None],
) -> list[Member]:
    """New replicas, with the smallest numbers that no replica has."""
    members = []
    for number, gpus in zip(_free_numbers(state, len(devices)), devices, strict=True):
        name = _replica_name(service, revision, number)
        parts = groups.parts_of(profile, name, gpus)
        members.append(Member(name, revision, number, gpus, parts=parts))
    return members


def _free_numbers(state: ServiceState, count: int) -> list[int]:
    taken = {member.number for member in state.members}
    return list(itertools.islice((n for n in itertools.count(1) if n not in taken), count))


def _replica_name(service: ServiceDir, revision: str, number: int) -> str:
    return f"{service.name}-{revision}-{number}"


def _candidate(service: ServiceDir, state: ServiceState, revision: str) -> str:
    """The name of a replica that could be started next."""
    return _replica_name(service, revision, _free_numbers(state, 1)[0])


def _with_replicas(section: JsonObject, count: int) -> JsonObject:
    return {**section, "service": {**object_at(section, "service"), "replicas": count}}
