"""GPUs: enough of them, of a kind the wheel was built for, with memory to spare."""

from __future__ import annotations

import os

from packaging.version import Version

from launcher.doctor.model import Check, Outcome, Subject, fail, gib, ok, unknown, warn
from launcher.engines.fastdeploy.requested import Requested
from launcher.environments import recipes
from launcher.host.gpus import Gpu
from launcher.preparation import gpus

CUDA = (12, 3)
"""Oldest CUDA that the driver must support for FastDeploy's wheels (docs/.../nvidia_gpu.md)."""

FOREIGN = 0.05
"""Share of a card's memory that others may hold without a word: a desktop, a monitor."""


def driver(subject: Subject) -> Outcome | None:
    """The driver's version and the newest CUDA it supports."""
    report = subject.host.gpus
    if report.error:
        if subject.profile is None:
            # A machine for the other engines needs none; one that should have some is told why.
            return unknown(
                f"no GPU can be seen: {report.error}",
                "nvidia-smi; in a container: --gpus all",
            )
        if not _wants_gpu(subject):
            return None
        return fail(
            f"no GPU can be seen: {report.error}",
            f"install the NVIDIA driver ({_oldest_driver()} or newer); in a container: --gpus all",
        )
    if report.driver is None:
        return unknown(f"{report.how} did not tell the driver's version")
    major = report.driver.partition(".")[0]
    summary = f"driver {report.driver}, CUDA up to {report.cuda or 'unknown'} ({report.how})"
    cuda = tuple(int(n) for n in (report.cuda or "").split(".") if n.isdigit())
    oldest = _oldest_driver()
    if (major.isdigit() and int(major) < oldest) or (cuda and cuda < CUDA):
        need = f"driver {oldest}, CUDA {CUDA[0]}.{CUDA[1]}"
        return fail(f"{summary}; FastDeploy's wheels need {need}", "update the driver")
    return ok(summary)


def visible(subject: Subject) -> Outcome | None:
    """The caller's CUDA_VISIBLE_DEVICES, which the server inherits where `gpus` is not given."""
    profile, listed = subject.profile, _inherited(subject)
    if profile is None or listed is None:
        return None
    ranks = Requested(profile).local_ranks
    summary = f"CUDA_VISIBLE_DEVICES={','.join(listed)} is set here and the profile has no `gpus`"
    if len(listed) == ranks and all(name.isdigit() for name in listed):
        return ok(f"{summary}: {ranks} for {ranks} rank(s)")
    numbers = ", ".join(name for name in listed if name.isdigit()) or "0"
    return fail(
        f"{summary}; FastDeploy starts a worker for each entry, by number, and {ranks} are"
        " requested",
        f"write `gpus: [{numbers}]`, as many numbers as ranks, into the profile; or "
        "unset CUDA_VISIBLE_DEVICES",
    )


def count(subject: Subject) -> Outcome | None:
    """The cards named in `gpus`, as many as there are ranks."""
    profile, report = subject.profile, subject.host.gpus
    if profile is None or report.error or not _wants_gpu(subject):
        return None
    ranks = Requested(profile).local_ranks
    have = [str(g.index) for g in report.gpus]
    names = {name for g in report.gpus for name in (str(g.index), g.uuid)}
    if not have:
        return fail("the driver sees no card", "nvidia-smi -L; in a container: --gpus all")
    requested = profile.gpus
    if requested is not None:
        missing = [name for name in requested if name not in names]
        if missing:
            return fail(
                f"GPU {', '.join(missing)} of `gpus` does not exist; there are {', '.join(have)}",
                "nvidia-smi -L; correct `gpus:` in the profile",
            )
        if len(requested) < ranks:
            return fail(
                f"{len(requested)} GPUs in `gpus`, {ranks} ranks asked for",
                f"name {ranks} GPUs, or lower tensor-parallel-size",
            )
    elif len(have) < ranks:
        return fail(
            f"{len(have)} GPUs here, {ranks} ranks asked for",
            f"set tensor-parallel-size to {len(have)} or less",
        )
    cards = ", ".join(f"{g.index}: {g.name}" for g in report.gpus)
    return ok(f"{ranks} of {len(have)} GPUs ({cards})")


def architecture(subject: Subject) -> Outcome | None:
    """Compute capability against the wheel that is installed."""
    used = _used(subject)
    if not used:
        return None
    with_capability = [g for g in used if g.compute_capability is not None]
    if not with_capability:
        return unknown("the driver does not tell the cards' compute capability")
    release = subject.installed.release if subject.installed else None
    version = release.version if release else None
    if "cu126" in recipes.builds(recipes.get("fastdeploy"), version):
        return _one_wheel(subject, with_capability, version)
    built_for = _wheels()
    wheels: dict[str, Gpu] = {}
    for card in with_capability:
        major, minor = card.compute_capability or (0, 0)
        wheel = built_for.get(f"{major}.{minor}")
        if wheel is None:
            return fail(
                f"GPU {card.index} {card.name} has compute capability {major}.{minor}, "
                "for which no FastDeploy wheel is built",
                f"use a card of {', '.join(sorted(built_for))}, or another engine",
            )
        wheels[wheel] = card
    if len(wheels) > 1:
        return fail(
            "the cards need different wheels: "
            + ", ".join(f"GPU {g.index} {g.name}: {w}" for w, g in wheels.items()),
            "name cards of one kind under `gpus:`",
        )
    wheel = next(iter(wheels))
    built = _built_for(subject)
    if built is None:
        return unknown(
            f"these cards need the wheel {wheel}; an installed wheel does not tell its kind",
            "environments of `ernie-deploy engine install fastdeploy` remember it",
        )
    if built != wheel:
        return fail(
            f"the wheel installed is {built}, these cards need {wheel}",
            "ernie-deploy engine install fastdeploy",
        )
    return ok(f"wheel {wheel} for {', '.join(g.name for g in with_capability)}")


def memory(subject: Subject) -> Outcome | None:
    """Free memory of the cards used, with the processes that hold the rest."""
    used = _used(subject)
    if not used or subject.running:
        return None
    share = subject.number("gpu-memory-utilization", 0.9)
    tight, shared = [], []
    for card in used:
        holders = ", ".join(
            f"pid {p.pid}" + (f" {gib(p.memory)}" if p.memory else "") for p in card.processes
        )
        summary = f"GPU {card.index}: {gib(card.memory_free)} of {gib(card.memory_total)} free"
        summary += f", held by {holders}" if holders else ""
        if card.memory_free < card.memory_total * share / 2:
            tight.append(summary)
        elif card.memory_total - card.memory_free > card.memory_total * FOREIGN:
            shared.append(summary)
    remedy = "nvidia-smi; end those processes, or choose other cards under `gpus:`"
    if tight:
        return fail("; ".join(tight), remedy)
    if shared:
        return warn("; ".join(shared), remedy)
    return ok("; ".join(f"GPU {g.index}: {gib(g.memory_free)} free" for g in used))


def _oldest_driver() -> int:
    return int(recipes.get("fastdeploy").data["minimum-driver"])


def _one_wheel(subject: Subject, cards: list[Gpu], version: str | None) -> Outcome:
    """From 2.5 on one wheel serves all cards; its CUDA version must not be newer than the driver.

    Wheels of a newer minor version run too, but for kernels that have to be compiled at run time.
    """
    kinds = recipes.builds(recipes.get("fastdeploy"), version)
    for card in cards:
        major, minor = card.compute_capability or (0, 0)
        if not any(f"{major}.{minor}" in kind["compute-capability"] for kind in kinds.values()):
            return fail(
                f"GPU {card.index} {card.name} has compute capability {major}.{minor}, "
                "for which no FastDeploy wheel is built",
                "use another card, or another engine",
            )
    built, driver = _built_for(subject), subject.host.gpus.cuda
    names = ", ".join(card.name for card in cards)
    if built is None or built not in kinds or driver is None:
        return ok(f"one wheel of FastDeploy {version} for {names}")
    summary = f"wheel {built} (CUDA {kinds[built]['cuda']}), driver for CUDA {driver}: {names}"
    if Version(kinds[built]["cuda"]) > Version(driver):
        return warn(summary, "ernie-deploy engine install fastdeploy --arch cu126")
    return ok(summary)


def _wheels() -> dict[str, str]:
    """Compute capability (`8.0`) to the wheel that `engine install` takes for it."""
    kinds = recipes.get("fastdeploy").data["architectures"]
    return {text: kind for kind, entry in kinds.items() for text in entry["compute-capability"]}


def _inherited(subject: Subject) -> tuple[str, ...] | None:
    """What the caller's environment lets the server see; None: everything, or `gpus` decides."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None or (subject.profile is not None and subject.profile.gpus is not None):
        return None
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _wants_gpu(subject: Subject) -> bool:
    """FastDeploy's wheels always do; the others run on a CPU as well."""
    return subject.profile is not None and subject.is_engine("fastdeploy")


def _used(subject: Subject) -> list[Gpu]:
    report = subject.host.gpus
    chosen = subject.profile.gpus if subject.profile else None
    if chosen is None:
        chosen = _inherited(subject)
    if chosen is None:
        return list(report.gpus)
    return [g for g in report.gpus if str(g.index) in chosen or g.uuid in chosen]


def _built_for(subject: Subject) -> str | None:
    """The wheel's kind as our own installer noted it beside the environment."""
    from launcher.environments import store

    if subject.installed is None:
        return None
    for environment in store.complete("fastdeploy"):
        if environment.python == subject.installed.python:
            kind = environment.facts.get("arch")
            return str(kind) if kind else None
    return None


def shared(subject: Subject) -> Outcome | None:
    """No other instance is on the same GPU: ours by their leases, other users' by the driver."""
    if subject.plan is None:
        return None
    cards = gpus.cards(subject.plan, os.environ)
    if not cards:
        return None
    own = (os.getpid(), *([subject.keeper] if subject.keeper else []))
    taken = gpus.holders(cards, own)
    uses = [f"GPU {card} is used by {who}" for card, who in taken.items()]
    foreign = gpus.foreign(cards, subject.host.gpus)
    uses += [f"GPU {use.card} is used by {use.describe()}" for use in foreign]
    if not uses:
        return ok(f"GPU {', '.join(cards)}: no other instance holds it")
    unsaid = "" if subject.plan.gpus is not None else " (the profile names no `gpus`)"
    if not taken and not any(use.instance for use in foreign):
        return warn(f"{'; '.join(uses)}{unsaid}", "name other `gpus`, or ask that user")
    return fail(f"{'; '.join(uses)}{unsaid}", "name other `gpus`, or take that instance down")


CHECKS = (
    Check(
        "driver",
        "the NVIDIA driver is new enough",
        "an older driver fails when the first kernel is loaded",
        driver,
        fast=False,
        needs_profile=False,
    ),
    Check(
        "visible-devices",
        "CUDA_VISIBLE_DEVICES of this shell names one GPU for each rank",
        "the list becomes the launcher's device list: workers too many, or `substring not found`",
        visible,
        engines=("fastdeploy",),
    ),
    Check(
        "gpu-shared",
        "no other instance uses the same GPU",
        "the second server gets what memory the first has left, and both may run out of it later",
        shared,
    ),
    Check(
        "gpu-count",
        "the GPUs that the profile asks for are there",
        "paddle's launcher dies with `substring not found` and no worker log",
        count,
        fast=False,
    ),
    Check(
        "gpu-architecture",
        "the wheel was built for these cards",
        "the wrong wheel loads the whole model and dies in its first kernel (FastDeploy#3930)",
        architecture,
        fast=False,
        engines=("fastdeploy",),
    ),
    Check(
        "gpu-memory",
        "the cards' memory is free",
        "memory held by a forgotten worker is the usual reason for an out-of-memory start",
        memory,
        fast=False,
        needs_profile=False,
    ),
)
