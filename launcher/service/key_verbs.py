"""`keys list`, `keys rotate` and `usage` of a service."""

from __future__ import annotations

import secrets
import time
from collections import Counter

from launcher.door.keys import digest_key
from launcher.errors import DeployError, UsageError
from launcher.instance.store import instance_dir
from launcher.keeper.usage import HOUR, KeyUsage, read_hours
from launcher.observe.figures import ask_figures
from launcher.profile.model import Profile
from launcher.profile.secrets import resolve
from launcher.profile.service import ServiceKey
from launcher.result import Result
from launcher.service.deploy import idle_state
from launcher.service.key_payloads import KeyList, KeyRotation, KeyState, KeyStatus, Usage
from launcher.service.keys import accepted_keys, read_kept, references
from launcher.service.model import HistoryEntry, ServiceState
from launcher.service.revision import served_profile
from launcher.service.store import ServiceDir, open_service, this_owner
from launcher.service.traffic import USAGE, Traffic

TIMEOUT = 1.0
"""Seconds an engine gets to tell its tokens."""


def list_keys(name: str) -> Result[KeyList]:
    """Every key of the service, and whether the front door accepts it. No key is shown.

    Raises:
        DeployError: the service does not exist, or it serves nothing.
    """
    service = open_service(name)
    profile = served_profile(service)
    rows = tuple(
        _status(service, one, slot, reference)
        for one, slot, reference in references(_keys(profile))
    )
    return Result("keys list", KeyList(name, rows), name)


def rotate_keys(name: str, message: str = "") -> Result[KeyRotation]:
    """Resolve every reference again and let the front door accept those keys and no others.

    Requests that run go on, and those with other keys are not touched.

    Raises:
        DeployError: the service does not exist, it serves nothing or has no keys, another command
            changes it, a reference cannot be resolved, or HAProxy refused.
    """
    service = open_service(name)
    service.check_hold()
    begun = time.time()
    owner = this_owner("keys rotate", message)
    with service.locked(owner):
        state = idle_state(service)
        profile = served_profile(service)
        if not _keys(profile):
            raise UsageError.of(
                "no-keys", f"{name} asks for no key", None,
                "add `service.keys` to its profile and deploy it",
            )  # fmt: skip
        before = accepted_keys(service)
        traffic = Traffic(service)
        traffic.rotate(state, profile)
        after = accepted_keys(service)
        added = tuple(sorted(after[one] for one in after.keys() - before.keys()))
        removed = tuple(sorted(before[one] for one in before.keys() - after.keys()))
        if added or removed:
            service.append_history(_entry(service, state, owner.user, owner.host, message, begun))
    data = KeyRotation(name, dict(sorted(Counter(after.values()).items())), added, removed)
    return Result("keys rotate", data, name)


def usage(name: str, since: float | None = None) -> Result[Usage]:
    """What was asked for with each key in the last `since` seconds, in whole hours.

    Raises:
        DeployError: the service does not exist, or its state is damaged.
    """
    service = open_service(name)
    state = service.read()
    now = time.time()
    begin = None if since is None else float((now - since) // HOUR * HOUR)
    keys: dict[str, KeyUsage] = {}
    for hour in read_hours(service.folder / USAGE, begin or 0.0):
        for key, used in hour.keys.items():
            keys[key] = keys.get(key, KeyUsage()) + used
    generated = {member.name: _generated(member.name) for member in state.members}
    data = Usage(name, begin, round(now, 3), dict(sorted(keys.items())), generated)
    return Result("usage", data, name)


def _keys(profile: Profile) -> tuple[ServiceKey, ...]:
    return profile.service.keys if profile.service is not None else ()


def _status(service: ServiceDir, one: ServiceKey, slot: str, reference: str) -> KeyStatus:
    kept = read_kept(service)
    accepted = accepted_keys(service)
    name = one.name
    old = {
        key.digest for key in kept.keys if (key.name, key.reference) == (name, reference)
    } if kept is not None else set()  # fmt: skip
    message = ""
    try:
        digest = digest_key(kept.salt, resolve(reference)) if kept is not None else ""
        state: KeyState = "changed" if old & accepted.keys() else "missing"
        if accepted.get(digest) == name:
            state = "accepted"
    except DeployError as error:
        state = "kept" if old & accepted.keys() else "missing"
        message = error.problems[0].message
    return KeyStatus(
        name=name,
        slot="next" if slot == "next" else "key",
        reference=reference,
        state=state,
        requests=one.requests,
        period=one.period,
        concurrency=one.concurrency,
        message=message,
    )


def _entry(
    service: ServiceDir, state: ServiceState, user: str, host: str, message: str, begun: float
) -> HistoryEntry:
    """The line of the history; the revision stays."""
    revision = service.revision(state.revision or "")
    now = time.time()
    return HistoryEntry(
        id=secrets.token_hex(4),
        kind="keys",
        at=round(now, 3),
        seconds=round(now - begun, 3),
        user=user,
        host=host,
        message=message,
        source=state.revision,
        target=revision.id,
        engine=revision.engine,
        release=revision.release,
        strategy="rolling",
        replicas=state.replicas,
        smoke="",
        outcome="serving",
    )


def _generated(instance: str) -> int | None:
    try:
        figures = ask_figures(instance_dir(instance).plan_data(), TIMEOUT)
    except (OSError, ValueError, DeployError):
        return None
    tokens = figures.tokens if figures is not None else None
    return int(tokens) if tokens is not None else None
