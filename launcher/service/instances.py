"""Which instances a service consists of now, and which it has put aside."""

from __future__ import annotations

import os
from collections.abc import Sequence

from launcher import paths
from launcher.errors import DeployError
from launcher.instance.store import InstanceDir, instance_dir
from launcher.service.store import ServiceDir, every_service


def current_instances(service: ServiceDir) -> list[InstanceDir]:
    """The instances of every replica, in their order, the gateway's and the front door's.

    Raises:
        PreconditionError: the service's state is damaged.
    """
    names = [name for member in service.read().members for name in member.instances]
    instances = [
        instance_dir(name) for name in (*names, *service.gateway_instances, service.door_instance)
    ]
    return [one for one in instances if one.folder.is_dir()]


def retired_instances(service: ServiceDir) -> list[InstanceDir]:
    """The instances that a rollout has replaced or given up, oldest first."""
    folder = service.folder / "retired"
    names = os.listdir(folder) if paths.check_readable(folder) else []
    instances = [InstanceDir(folder / name) for name in names]
    dated = [(one.folder.stat().st_mtime, one) for one in instances if one.folder.is_dir()]
    return [one for _, one in sorted(dated, key=lambda pair: pair[0])]


def all_instances(service: ServiceDir) -> list[InstanceDir]:
    """Those that were put aside, then those of now."""
    return [*retired_instances(service), *current_instances(service)]


def find_retired(name: str) -> InstanceDir | None:
    """The instance called `name` that some service has put aside: its logs can still be read."""
    for service in every_service():
        for instance in retired_instances(service):
            if instance.name == name:
                return instance
    return None


def every_retired() -> list[InstanceDir]:
    """What all services have put aside."""
    return [instance for service in every_service() for instance in retired_instances(service)]


def label_width(instances: Sequence[InstanceDir]) -> int:
    """Columns of the longest name, for lines that begin with it."""
    return max((len(one.name) for one in instances), default=0)


def readable_instances(service: ServiceDir) -> list[InstanceDir]:
    """As `current_instances`; none where the state cannot be read just now."""
    try:
        return current_instances(service)
    except DeployError:
        return []
