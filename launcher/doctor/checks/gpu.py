"""GPUs: enough of them, of a kind the wheel was built for, with memory to spare."""

from __future__ import annotations

import os

from launcher import engines
from launcher.doctor.model import Check, Outcome, Subject, engine_of, fail, gib, ok, unknown, warn
from launcher.host.gpus import GpuReport
from launcher.preparation import gpus
from launcher.profile.model import Profile

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
        if not subject.needs.gpu:
            return None
        oldest = f" ({subject.needs.driver} or newer)" if subject.needs.driver else ""
        return fail(
            f"no GPU can be seen: {report.error}",
            f"install the NVIDIA driver{oldest}; in a container: --gpus all",
        )
    if report.driver is None:
        return unknown(f"{report.how} did not tell the driver's version")
    summary = f"driver {report.driver}, CUDA up to {report.cuda or 'unknown'} ({report.how})"
    needed = _too_old(subject, report)
    return fail(f"{summary}; {needed}", "update the driver") if needed else ok(summary)


def _too_old(subject: Subject, report: GpuReport) -> str | None:
    """What the profile's engine needs and the driver is not; without a profile, what any needs."""
    major = (report.driver or "").partition(".")[0]
    cuda = tuple(int(n) for n in (report.cuda or "").split(".") if n.isdigit())
    engine = engine_of(subject)
    if engine is not None:
        needs_by_title = [(engine.title, subject.needs)]
    else:
        bare = Profile("", "", "")
        needs_by_title = [(engine.title, engine.needs(bare, None)) for engine in engines.every()]
    for title, needs in needs_by_title:
        old_driver = needs.driver is not None and major.isdigit() and int(major) < needs.driver
        old_cuda = bool(needs.cuda and cuda and cuda < needs.cuda)
        if old_driver or old_cuda:
            parts = [f"driver {needs.driver}"] if needs.driver else []
            parts += [f"CUDA {needs.cuda[0]}.{needs.cuda[1]}"] if needs.cuda else []
            return f"{title}'s wheels need {', '.join(parts)}"
    return None


def count(subject: Subject) -> Outcome | None:
    """The cards named in `gpus`, as many as there are ranks."""
    profile, report = subject.profile, subject.host.gpus
    if profile is None or report.error or not subject.needs.gpu:
        return None
    ranks = subject.needs.ranks
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


def memory(subject: Subject) -> Outcome | None:
    """Free memory of the cards used, with the processes that hold the rest."""
    used = subject.used_gpus()
    if not used or subject.running:
        return None
    share = subject.needs.gpu_share
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
        "gpu",
        fast=False,
        needs_profile=False,
    ),
    Check(
        "gpu-shared",
        "no other instance uses the same GPU",
        "the second server gets what memory the first has left, and both may run out of it later",
        shared,
        "gpu",
    ),
    Check(
        "gpu-count",
        "the GPUs that the profile asks for are there",
        "paddle's launcher dies with `substring not found` and no worker log",
        count,
        "gpu",
        fast=False,
    ),
    Check(
        "gpu-memory",
        "the cards' memory is free",
        "memory held by a forgotten worker is the usual reason for an out-of-memory start",
        memory,
        "gpu",
        fast=False,
        needs_profile=False,
    ),
)
