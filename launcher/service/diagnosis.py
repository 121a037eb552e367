"""`diagnose` of a service: of its instances the one that is why it does not work."""

from __future__ import annotations

from dataclasses import replace

from launcher.errors import ExitCode, PreconditionError
from launcher.instance.diagnosis import diagnose_instance
from launcher.instance.first_cause import InstanceDiagnosis
from launcher.instance.store import InstanceDir, instance_dir, view
from launcher.lifecycle import UNSUCCESSFUL, InstanceState
from launcher.result import Result
from launcher.service.instances import retired_instances
from launcher.service.payloads import ServiceStatus
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir


def diagnose_service(service: ServiceDir) -> Result[InstanceDiagnosis]:
    """Diagnose the front door where it is not ready, else the first replica that is not well.

    Where all work, the first finding of any of them; where nothing runs, the instance by which
    the last change failed. The exit code is not 0 where the service is not served as it should be.

    Raises:
        PreconditionError: the service is stopped, and nothing is left to be read.
    """
    row = describe_service(service)
    instances = _suspects(service, row)
    if not instances:
        raise PreconditionError.of(
            "service-stopped", f"{service.name} is stopped, and no instance of it is left", None,
            f"`ernie-deploy history {service.name}` shows how its changes ended",
        )  # fmt: skip
    results = []
    for instance in instances:
        result = diagnose_instance(instance)
        if result.exit_code is not ExitCode.DONE:
            return result
        results.append(result)
    if row.condition in ("degraded", "down"):
        return replace(results[0], exit_code=ExitCode.NEGATIVE)
    return results[0]


def _suspects(service: ServiceDir, row: ServiceStatus) -> list[InstanceDir]:
    """The instances to look at, the likeliest first."""
    door = instance_dir(service.door_instance)
    replicas = sorted(row.members, key=lambda one: not one.message)
    names = [name for one in replicas for name in (one.name, *one.parts)]
    listed = [one for one in map(instance_dir, names) if one.exists]
    if not row.members:
        ended = retired_instances(service)[::-1]
        return [one for one in ended if view(one)[0] in UNSUCCESSFUL][:1] or ended[:1]
    if not door.exists:
        return listed
    gateways = [one for one in map(instance_dir, service.gateway_instances) if one.exists]
    ill = row.gateway_state not in (None, InstanceState.READY)
    listed = [*gateways, *listed] if ill else [*listed, *gateways]
    return [door, *listed] if row.door_state != InstanceState.READY else [*listed, door]
