"""Text for `status` and `down`, of instances and of services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.instance.instance_status import Status
from launcher.instance.payloads import Down
from launcher.report import instance_text

if TYPE_CHECKING:
    from launcher.result import Result
    from launcher.service.payloads import ServiceDown


def status(result: Result[Status]) -> str:
    """One line an instance; every service with its replicas; a single one with its particulars."""
    if type(result.payload) is Status:
        return instance_text.status(result)
    from launcher.report.rollout_text import service_lines
    from launcher.service.payloads import StatusWithServices

    data = result.payload
    rows = data.services if isinstance(data, StatusWithServices) else ()
    lines = [line for row in rows for line in service_lines(row)]
    owned = {f"{row.name}-door" for row in rows}
    owned |= {name for row in rows for one in row.members for name in (one.name, *one.parts)}
    instances = [row for row in data.instances if row.name not in owned]
    if instances:
        lines += ["", *instance_text.instance_table(instances)]
    return "\n".join(lines)


def down(result: Result[Down | ServiceDown]) -> str:
    """What was stopped, and what is left."""
    data = result.payload
    if isinstance(data, Down):
        return instance_text.down(data, result.instance)
    from launcher.report.rollout_text import service_down

    return service_down(data)
