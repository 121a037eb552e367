"""What may not be done to an instance by its own name, because a service depends on it."""

from __future__ import annotations

from launcher.errors import DeployError, PreconditionError
from launcher.lifecycle import InstanceState
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir, find_service, service_of


def check_stop(instance: str, verb: str) -> None:
    """Refuse to stop an instance without which its service would not answer.

    A replica may be stopped while others serve: the front door sends its requests to them.

    Raises:
        PreconditionError: `instance-in-service`; names the command for the service.
    """
    owned = service_of(instance)
    if owned is None:
        return
    service, member = owned
    row = describe_service(service)
    remedy = {
        "restart": f"`ernie-deploy restart {service.name}` replaces every replica without a gap;"
        f" `--force in-service` restarts this one anyway",
    }.get(verb, f"`ernie-deploy down {service.name}` stops the service")
    if row.rollout is not None and row.rollout.owner is not None:
        raise PreconditionError.of(
            "service-locked", f"{row.rollout.owner} is changing {service.name}", None,
            f"`ernie-deploy status {service.name}` shows how far it is",
        )  # fmt: skip
    if member is None:
        if row.members and row.door_state == InstanceState.READY:
            part = "front door" if instance == service.door_instance else "gateway"
            raise _in_service(f"{instance} is the {part} of {service.name}, which serves", remedy)
        return
    serving = [one.name for one in row.members
               if one.state == InstanceState.READY and one.weight > 0]  # fmt: skip
    if serving == [member.name] and row.door_state == InstanceState.READY:
        raise _in_service(
            f"{instance} is the only replica by which {service.name} is served", remedy
        )


def check_start(instance: str, path: str) -> None:
    """Refuse to start an instance under the name of a service, or of one of its instances.

    Raises:
        PreconditionError: `name-taken`, or `instance-in-service`.
    """
    service = find_service(instance)
    if service is not None:
        raise PreconditionError.of(
            "name-taken", f"{instance} is the name of a service", path,
            f"`ernie-deploy deploy {path}` changes the service; `--name` gives a single instance"
            " another name",
        )  # fmt: skip
    owned = service_of(instance)
    if owned is not None:
        raise _in_service(
            f"{instance} is an instance of the service {owned[0].name}",
            f"`ernie-deploy deploy PROFILE` starts what is missing of {owned[0].name}",
        )


def check_alone(target: str, verb: str) -> None:
    """Refuse what is for single instances only, for a service and each of its instances.

    Raises:
        PreconditionError: `service-not-bootable` for `enable`, `service-not-drilled` for `drill`.
    """
    service = find_service(target) or _owner(target)
    if service is None:
        return
    if verb == "drill":
        raise PreconditionError.of(
            "service-not-drilled", f"{target} is in service: a drill would break its requests",
            None,
            "drill a single instance of its profile: `ernie-deploy up PROFILE --set service=null"
            " --name trial`, then `ernie-deploy drill trial`",
        )  # fmt: skip
    raise PreconditionError.of(
        "service-not-bootable", f"{target} is in service: no unit of its own can start it at boot",
        None,
        f"let a unit of yours run `ernie-deploy deploy PROFILE` at boot: it starts what is missing"
        f" of {service.name} (docs/services.md shows the unit)",
    )  # fmt: skip


def _owner(instance: str) -> ServiceDir | None:
    owned = service_of(instance)
    return owned[0] if owned is not None else None


def _in_service(message: str, remedy: str) -> DeployError:
    return PreconditionError.of("instance-in-service", message, None, remedy)
