"""Revisions: which content of a profile they are, and the profile of each of their replicas."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

from launcher.engines.base import Release
from launcher.errors import PreconditionError
from launcher.json_values import JsonObject, JsonValue, at, object_at
from launcher.profile.build import build
from launcher.profile.model import KEEPER_PORT, Profile
from launcher.service.model import Member, Revision
from launcher.service.store import ServiceDir

NOT_CONTENT = ("name", "description", "service", "host")
"""Keys that change the service and none of its replicas; of `service`, `group` changes them."""
REPLICA_HOST = "127.0.0.1"
"""Where replicas listen: only the front door is reached from outside."""
DIGITS = 6
"""Hex digits of a revision's id."""


def revision_of(profile: Profile, release: Release) -> Revision:
    """The revision that `profile` is with this release of its engine."""
    content = {key: value for key, value in profile.resolved.items() if key not in NOT_CONTENT}
    ports = {k: v for k, v in object_at(content, "ports").items() if k not in ("api", KEEPER_PORT)}
    identity = {**content, "ports": ports, "release": release.version}
    if (group := at(profile.resolved, "service", "group")) is not None:
        identity["group"] = group
    text = json.dumps(identity, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Revision(
        id=digest[:DIGITS],
        digest=digest,
        engine=profile.engine,
        release=release.version,
        profile=dict(profile.resolved),
        path=profile.path,
        created_at=round(time.time(), 3),
        origins=dict(profile.origins),
    )


def section_of(profile: Profile) -> JsonObject:
    """What of a profile changes the service and none of its replicas: kept in `service.json`."""
    return {
        "service": _without_group(object_at(profile.resolved, "service")),
        "host": profile.host,
        "ports": {"api": object_at(profile.resolved, "ports").get("api")},
    }


def profile_of(revision: Revision, section: JsonObject) -> Profile:
    """The profile of a stored revision, with the service's own keys as they are now.

    The engine's release is the revision's, whatever has been installed since.
    """
    ports = {**object_at(revision.profile, "ports"), **object_at(section, "ports")}
    values: JsonObject = {
        **revision.profile,
        "service": _with_group(object_at(section, "service"), revision),
        "host": section.get("host"),
        **({} if revision.profile.get("python") else {"engine-version": f"=={revision.release}"}),
        "ports": {name: number for name, number in ports.items() if number is not None},
    }
    return replace(build(values, revision.path), origins=revision.origins)


def _without_group(service: JsonObject) -> JsonObject:
    return {key: value for key, value in service.items() if key != "group"}


def _with_group(service: JsonObject, revision: Revision) -> JsonObject:
    """The section with the group of the revision: its instances are what a revision is."""
    group = at(revision.profile, "service", "group")
    rest = _without_group(service)
    return rest if group is None else {**rest, "group": group}


def served_profile(service: ServiceDir) -> Profile:
    """The profile that the service serves now, as it was deployed.

    Raises:
        PreconditionError: it serves nothing.
        UsageError: the revision is not stored any more.
    """
    state = service.read()
    if state.revision is None:
        raise PreconditionError.of(
            "service-stopped", f"{service.name} does not serve", None,
            "`ernie-deploy deploy PROFILE` starts it",
        )  # fmt: skip
    return profile_of(service.revision(state.revision), state.section)


def replica_profile(profile: Profile, member: Member, *, host: str = REPLICA_HOST) -> Profile:
    """The profile of one replica: every port is chosen, and it listens on loopback only.

    An instance of a group is reached under the machine's own address: then `host` is another.
    """
    ports: dict[str, JsonValue] = dict.fromkeys(object_at(profile.resolved, "ports"), "auto")
    values: dict[str, JsonValue] = {
        key: value for key, value in profile.resolved.items() if key != "service"
    }
    values |= {
        "name": member.name,
        "host": host,
        "ports": {**ports, "api": "auto", KEEPER_PORT: "auto"},
    }
    if member.gpus is not None:
        values["gpus"] = list(member.gpus)
    replica = build(values, profile.path)
    return replace(replica, origins=profile.origins, text=profile.text, notes=profile.notes)
