"""Ports, addresses, other FastDeploy servers, and the network a download would need."""

from __future__ import annotations

import os
import socket

from launcher import paths
from launcher.doctor.checks.disk import downloaded
from launcher.doctor.model import (
    Check,
    Outcome,
    Subject,
    engine_of,
    fail,
    host_of,
    ok,
    unknown,
    warn,
)
from launcher.host import network
from launcher.preparation import admin
from launcher.preparation.owners import Owner

DIAL = 3.0
"""Seconds to wait for a hub: more would make the doctor slow on an air-gapped host."""


def ports(subject: Subject) -> Outcome | None:
    """Binds every port of the plan for a moment."""
    plan = subject.plan
    if plan is None:
        return _fixed(subject)
    if subject.running:
        return ok("the instance itself runs and holds its ports")
    return _judge(
        subject,
        [
            (use.name, use.number, use.address)
            for use in plan.ports
            if use.number and use.name not in subject.auto_ports
        ],
        len(subject.auto_ports),
    )


def low_byte(subject: Subject) -> Outcome | None:
    """The System V queue's key is the low byte of the queue port: equal bytes mix answers."""
    name = _queue_name(subject)
    if name is None:
        return None
    if subject.running:
        return ok("the instance itself runs; its queue port was leased by its low byte")
    number = _queue_port(subject, name)
    if number is None:
        return ok("chosen at the start, with a low byte that no other server has leased")
    if subject.plan is not None and any(k.bits == 20 for k in subject.plan.leftovers.queues):
        return ok(
            f"queue port {number}: this release's queue has 20 bits of it, so only an equal port "
            "would clash (wheels built before 2026-03-16 have its low byte)"
        )
    conflicting = [q for q in host_of(subject).queue_ports if q.port & 0xFF == number & 0xFF]
    summary = ", ".join(f"{q.port} ({q.how})" for q in host_of(subject).queue_ports) or "none"
    owned = {q: owner for q in conflicting if (owner := _queue_owner(subject, q)) is not None}
    own = [owner for owner in dict.fromkeys(owned.values()) if owner.is_dead]
    if own and len(owned) == len(conflicting) and all(o.is_dead for o in owned.values()):
        return _left(
            subject,
            f"queue port {number} equals modulo 256 the port of "
            + ", ".join(f"{q.how} ({q.port})" for q in conflicting)
            + f"; that is {_described(own)}",
            own,
            f"set `{name}: auto` under `ports:`",
        )
    if conflicting and not any(q.is_confirmed() for q in conflicting):
        return warn(
            f"queue port {number} equals modulo 256 what another user's "
            + ", ".join(f"{q.how} ({q.port})" for q in conflicting)
            + " names; the kernel shows no such queue",
            f"if that is a server which has just been started, set `{name}: auto`",
        )
    if conflicting:
        return fail(
            f"queue port {number} equals modulo 256 that of another server: "
            + ", ".join(
                f"{q.port} ({q.how}; {owned[q].describe()})" if q in owned
                else f"{q.port} ({q.how})" for q in conflicting
            ),
            " and ".join(
                [f"set `{name}: auto` under `ports:`", *(_commands(own))]
            ),
        )  # fmt: skip
    return ok(f"queue port {number}; other servers: {summary}")


def address(subject: Subject) -> Outcome | None:
    """Binds `host` with a port of the kernel's choice."""
    if subject.profile is None:
        return None
    host = subject.profile.host
    problem = network.refused(host, 0)
    if problem:
        return fail(
            f"host {host}: {problem}",
            "use 127.0.0.1, 0.0.0.0, or an address that `ip -brief address` shows",
        )
    return ok(f"{host} can be listened on")


def hub(subject: Subject) -> Outcome | None:
    """Dials the hub that a model id would be downloaded from."""
    profile = subject.profile
    if profile is None:
        return None
    if profile.model_is_path:
        return ok("the model is a local folder: loading needs no network")
    if profile.hub_cache:
        return ok(f"{profile.model} was pulled into {profile.hub_cache}: loading needs no network")
    download = subject.needs.download
    if download is None:
        return None
    # The engine sees the proxies and the mirror of this shell too.
    env = {**os.environ, **profile.env}
    name = download.host
    if env.get("HTTPS_PROXY") or env.get("https_proxy"):
        return unknown(f"{name} would be asked through a proxy; that is not tried here")
    try:
        with socket.create_connection((name, 443), DIAL):
            return ok(f"{profile.model} is a hub id; {name} answers")
    except OSError as error:
        here, _ = downloaded(download)
        if here is not None:
            return warn(
                f"{name} cannot be reached ({error}); {profile.model} was downloaded to {here}, "
                "and the engine may still ask the hub whether it is the newest",
                f"if it is whole, give that folder as `model: {here}`",
            )
        return fail(
            f"{profile.model} is a hub id and {name} cannot be reached: {error}",
            f"`ernie-deploy model pull {profile.model}` where the hub can be reached, or a bundle "
            "(`ernie-deploy explain air-gapped`), or set HTTPS_PROXY under `env:`",
        )


def _fixed(subject: Subject) -> Outcome | None:
    """Without a plan (no engine yet) the ports that the profile names are judged."""
    profile, engine = subject.profile, engine_of(subject)
    if profile is None or engine is None:
        return None
    release = subject.installed.release if subject.installed else None
    fixed = []
    auto = 0
    for need in (*engine.ports(profile, release), *admin.needs(profile)):
        number = profile.ports.get(need.name, need.default)
        if isinstance(number, int):
            fixed.append((need.name, number, need.address or profile.host))
        else:
            auto += 1
    return _judge(subject, fixed, auto)


def _judge(subject: Subject, fixed: list[tuple[str, int, str]], auto: int) -> Outcome:
    taken = []
    owners: list[Owner | None] = []
    for name, number, where in fixed:
        problem = network.refused(where, number)
        if problem is None:
            continue
        holders = network.holders([number])
        by = f" by {', '.join(sorted({h.owner() for h in holders}))}" if holders else ""
        holder_owners = [
            host_of(subject).owners.of_process(h.pid) if h.pid else None for h in holders
        ]
        owners += holder_owners or [None]
        by += "".join(f" ({o.describe()})" for o in dict.fromkeys(holder_owners) if o is not None)
        taken.append(f"{name} {where}:{number}: {problem}{by}")
    remedy = "give another number (or auto) under `ports:`"
    own = [owner for owner in dict.fromkeys(owners) if owner is not None and owner.is_dead]
    if taken and all(owner is not None and owner.is_dead for owner in owners):
        return _left(subject, "; ".join(taken), own, remedy)
    if taken:
        named = " and ".join(_commands([o for o in dict.fromkeys(owners) if o is not None]))
        foreign = "stop that process" if None in owners else ""
        return fail("; ".join(taken), ", or ".join(filter(None, (foreign, named, remedy))))
    chosen = f"; {auto} chosen at the start" if auto else ""
    summary = ", ".join(f"{name} {number}" for name, number, _ in fixed) or "none fixed"
    return ok(f"free: {summary}{chosen}")


def _queue_owner(subject: Subject, queue: network.QueuePort) -> Owner | None:
    """The instance of this user that a queue port in use belongs to."""
    if queue.pid is not None:
        return host_of(subject).owners.of_process(queue.pid)
    return host_of(subject).owners.of_file(queue.how, queue.port)


def _described(owners: list[Owner]) -> str:
    return " and ".join(owner.describe() for owner in owners)


def _commands(owners: list[Owner]) -> list[str]:
    return [f"`{owner.down()}`" for owner in owners]


def _left(subject: Subject, evidence: str, own: list[Owner], advice: str) -> Outcome:
    """What our own dead instances have left; the one of this profile is cleaned up by `up`."""
    remedy = f"{' and '.join(_commands(own))} removes that; or {advice}"
    name = subject.profile.name if subject.profile is not None else None
    if all(owner.name == name and owner.is_in(paths.instances()) for owner in own):
        return warn(f"{evidence}; `up` of it cleans up first", remedy)
    return fail(evidence, remedy)


def _queue_name(subject: Subject) -> str | None:
    """The port whose low byte must be unique on this host, None where the engine has none."""
    engine = engine_of(subject)
    if subject.profile is None or engine is None:
        return None
    release = subject.installed.release if subject.installed else None
    needs = engine.ports(subject.profile, release)
    return next((need.name for need in needs if need.unique_low_byte), None)


def _queue_port(subject: Subject, name: str) -> int | None:
    if subject.plan is not None and name not in subject.auto_ports:
        return next((p.number for p in subject.plan.ports if p.name == name), None)
    requested = subject.profile.ports.get(name) if subject.profile else None
    return requested if isinstance(requested, int) else None


CHECKS = (
    Check(
        "ports",
        "every port of the server is free",
        "FastDeploy looks at its API and metrics port only after the model is loaded",
        ports,
        "network",
    ),
    Check(
        "queue-low-byte",
        "the queue port differs modulo 256 from those of other servers of this host",
        "with equal low bytes both servers hang or answer garbage, and /health stays 200",
        low_byte,
        "network",
    ),
    Check(
        "host-address",
        "`host` is an address of this machine",
        "FastDeploy finds out after the model is loaded",
        address,
        "network",
    ),
    Check(
        "hub",
        "if loading needs the network, it is there",
        "a network failure reads like a wrong model name",
        hub,
        "network",
        fast=False,
    ),
)
