"""The keys of a service: references resolved to digests, and what is kept of them.

A reference is resolved by the command that changes the service, and only its digest is kept. Where
it cannot be resolved later (a rollback from another shell, whose environment has no such variable),
the digest of the same reference still holds: what serves does not depend on who looks at it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from launcher import files
from launcher.codec import decode, encode
from launcher.door.key_maps import read_maps
from launcher.door.key_rules import is_usable_folder
from launcher.door.keys import (
    ENGINE_MAP,
    KEYS_MAP,
    KeyRow,
    KeyTable,
    digest_key,
    engine_key_of,
    parse_map,
)
from launcher.errors import DeployError, PreconditionError, Problem
from launcher.profile.model import Profile
from launcher.profile.secrets import resolve
from launcher.profile.service import ServiceKey
from launcher.service.store import ServiceDir

SCHEMA = "ernie-deploy/service-keys/1"
KEPT = "keys.json"
FILES = (KEYS_MAP, ENGINE_MAP, KEPT)
"""Files in the service's folder, mode 0600; removed with the front door."""
SHORTEST = 16
"""Characters of a key: one that a person made up is found by trying."""
SALT_BYTES = 16
Slot = Literal["key", "next"]


@dataclass(frozen=True)
class KeptKey:
    """The digest that a reference had when it was last resolved."""

    name: str
    slot: Slot
    reference: str
    digest: str


@dataclass(frozen=True)
class KeptKeys:
    """`keys.json`: the salt in hex, the digests, and the reference of the replicas' key."""

    salt: str
    keys: tuple[KeptKey, ...] = ()
    engine: str = ""
    schema: str = SCHEMA


@dataclass(frozen=True)
class Resolved:
    """The keys of a profile as the front door takes them.

    `unresolved` are the references whose kept digests are used, by name and slot.
    """

    table: KeyTable
    kept: KeptKeys
    unresolved: tuple[str, ...] = ()


@dataclass
class _Findings:
    problems: list[Problem] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)


def read_kept(service: ServiceDir) -> KeptKeys | None:
    """What is kept of the keys; None where there is nothing, or nothing that can be used."""
    try:
        value = json.loads(files.read_text(service.folder / KEPT))
        return decode(KeptKeys, value, "keys", schema=SCHEMA, tolerant=True)
    except (OSError, ValueError, RecursionError):
        return None


def resolve_keys(service: ServiceDir, profile: Profile, *, strict: bool = False) -> Resolved | None:
    """The keys of the profile's `service:` section; None where it has none.

    With `strict` every reference must be resolved now.

    Raises:
        PreconditionError: `missing-secret`: a reference cannot be resolved, and no digest of it is
            kept; `bad-api-key`: a key is too short, or has characters that no header takes;
            `duplicate-api-key`: two names have the same key.
    """
    section = profile.service
    if section is None or not section.keys:
        return None
    kept = read_kept(service)
    salt = kept.salt if kept is not None else secrets.token_hex(SALT_BYTES)
    findings = _Findings()
    rows: dict[str, KeyRow] = {}
    entries: list[KeptKey] = []
    for one, slot, reference in references(section.keys):
        old = () if kept is None or strict else kept.keys
        digest = _digest(salt, one.name, slot, reference, old, findings)
        if digest is None:
            continue
        first = rows.setdefault(
            digest, KeyRow(digest, one.name, one.requests, one.period, one.concurrency)
        )
        if first.name != one.name:
            findings.problems.append(
                Problem(
                    "duplicate-api-key",
                    f"{first.name} and {one.name} have the same key: usage and limits go by its"
                    " name", profile.where(f"service.keys.{one.name}"), "give each one of its own",
                )
            )  # fmt: skip
        entries.append(KeptKey(one.name, slot, reference, digest))
    engine, reference = _engine_key(service, profile, kept, findings, strict=strict)
    if findings.problems:
        raise PreconditionError(findings.problems)
    folder = str(service.folder)
    if not is_usable_folder(folder):
        raise PreconditionError.of(
            "bad-folder", f"HAProxy cannot read keys from {folder}: the path has blanks or signs",
            folder, "set ERNIE_DEPLOY_HOME to a folder of letters, digits and ./_@+=,:~-",
        )  # fmt: skip
    try:
        table = KeyTable(folder, salt, tuple(rows.values()), engine)
    except ValueError as error:
        raise PreconditionError.of(
            "bad-api-key", str(error), profile.where("api-key"), "use letters and digits"
        ) from None
    return Resolved(table, KeptKeys(salt, tuple(entries), reference), tuple(findings.unresolved))


def examine_keys(profile: Profile, service: ServiceDir) -> list[Problem]:
    """Everything wrong with the keys, for `doctor`."""
    try:
        resolve_keys(service, profile)
    except DeployError as error:
        return list(error.problems)
    return []


def client_key(profile: Profile) -> str | None:
    """The reference of a key for requests of our own; None where the service asks for none.

    One without a limit is taken first: a smoke test is many requests.
    """
    keys = profile.service.keys if profile.service is not None else ()
    unlimited = [one for one in keys if not one.requests and not one.concurrency]
    return next((one.key for one in (*unlimited, *keys)), None)


def keep_keys(service: ServiceDir, resolved: Resolved) -> None:
    """Write what is kept.

    Raises:
        PreconditionError: the disk is full or not writable.
    """
    if resolved.kept != read_kept(service):
        service.write_file(KEPT, json.dumps(encode(resolved.kept)))


def remove_keys(service: ServiceDir) -> None:
    """Remove what is kept, and the maps: the front door needs them no more."""
    for name in FILES:
        (service.folder / name).unlink(missing_ok=True)


def accepted_keys(service: ServiceDir) -> dict[str, str]:
    """The names of the keys that the map on disk accepts, by digest.

    Raises:
        PreconditionError: the map cannot be read.
    """
    # The salt has no part in it.
    path = service.folder / KEYS_MAP
    text = read_maps(KeyTable(str(service.folder), "00" * SALT_BYTES)).get(path) or ""
    return {digest: value.split(":")[0] for digest, value in parse_map(text.splitlines()).items()}


def references(keys: Sequence[ServiceKey]) -> Iterator[tuple[ServiceKey, Slot, str]]:
    """Every reference, with its key and slot."""
    slots: tuple[Slot, Slot] = ("key", "next")
    for one in keys:
        for slot, reference in zip(slots, (one.key, one.next), strict=True):
            if reference:
                yield one, slot, reference


def _digest(
    salt: str,
    name: str,
    slot: Slot,
    reference: str,
    kept: Sequence[KeptKey],
    findings: _Findings,
) -> str | None:
    try:
        text = resolve(reference)
    except PreconditionError as error:
        old = [one.digest for one in kept if (one.name, one.reference) == (name, reference)]
        if old:
            findings.unresolved.append(f"{name}.{slot}")
            return old[0]
        where = f"service.keys.{name}.{slot}"
        findings.problems += [
            Problem(one.code, f"{name}: {one.message}", where, one.remedy) for one in error.problems
        ]
        return None
    problem = _text_problem(text)
    if problem:
        findings.problems.append(
            Problem(
                "bad-api-key", f"the key of {name} behind {reference} {problem}",
                f"service.keys.{name}.{slot}",
                "make one with `openssl rand -hex 32`",
            )
        )  # fmt: skip
        return None
    return digest_key(salt, text)


def _text_problem(text: str) -> str:
    """Why no client could or should send this key; empty where nothing is wrong."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return "has blanks, or characters that are not ASCII: no header takes it"
    if len(text) < SHORTEST:
        return f"has {len(text)} characters, and {SHORTEST} are the fewest"
    return ""


def _engine_key(
    service: ServiceDir,
    profile: Profile,
    kept: KeptKeys | None,
    findings: _Findings,
    *,
    strict: bool,
) -> tuple[str, str]:
    """The key that replicas want, and its reference; empty where they want none."""
    if profile.api_key is None:
        return "", ""
    reference = profile.api_key.text()
    try:
        return resolve(reference), reference
    except PreconditionError as error:
        if kept is not None and kept.engine == reference and not strict:
            with contextlib.suppress(OSError, ValueError):
                key = engine_key_of(files.read_text(Path(service.folder) / ENGINE_MAP))
                if key:
                    findings.unresolved.append("api-key")
                    return key, reference
        findings.problems += error.problems
        return "", reference
