"""`history`, `lock` and `unlock` of a service."""

from __future__ import annotations

from launcher.result import Result
from launcher.service.payloads import Held, History
from launcher.service.store import open_service, this_owner


def history(name: str, newest: int) -> Result[History]:
    """The `newest` changes of the service, the newest first.

    Raises:
        UsageError: the service does not exist.
    """
    service = open_service(name)
    entries = tuple(reversed(service.history()))[:newest]
    return Result("history", History(name, service.read().revision, entries), name)


def hold(name: str, message: str) -> Result[Held]:
    """Forbid changes; the one who forbade them before is replaced.

    Raises:
        DeployError: the service does not exist, or its folder cannot be written.
    """
    service = open_service(name)
    owner = this_owner("lock", message)
    service.set_hold(owner)
    return Result("lock", Held(name, owner.describe()), name)


def release(name: str) -> Result[Held]:
    """Allow changes again.

    Raises:
        UsageError: the service does not exist.
    """
    service = open_service(name)
    service.set_hold(None)
    return Result("unlock", Held(name, None), name)
