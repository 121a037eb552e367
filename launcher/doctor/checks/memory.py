"""Host memory, shared memory, the container's limits, and the memory plan's answer."""

from __future__ import annotations

from pathlib import Path

from launcher.doctor.model import (
    MIB,
    Check,
    Outcome,
    Subject,
    engine_of,
    fail,
    gib,
    ok,
    unknown,
    warn,
)
from launcher.errors import DeployError

SHM_LEAST = 64 * MIB
"""FastDeploy's signals and sockets need a few MiB; Docker's default of 64 MiB just holds them."""

SHM_PER_RANK = 1024 * MIB
"""NCCL's buffers and the queues between ranks; FastDeploy's docs give containers 32 GB."""

PIDS_LEAST = 2048
"""A server of one rank was measured with some hundred threads; BLAS takes one per core and rank."""

_SHM_REMEDY = "start the container with --shm-size=32G or --ipc=host, or: "


def host(subject: Subject) -> Outcome | None:
    """The peak of a load: twice the largest shard and what each rank's interpreter takes."""
    memory = subject.host.memory
    limit = memory.limit
    where = f", container limit {gib(limit.value)} ({limit.how})" if limit.value else ""
    have = f"{gib(memory.usable)} can be used of {gib(memory.total)}{where}"
    if subject.running:
        return ok(f"{have}; the instance itself runs")
    if subject.profile is None:
        return ok(have)
    needed, how = _host_peak(subject)
    if needed is None:
        return unknown(f"{have}; {how}")
    if memory.usable < needed:
        # Of a checkpoint that is not here only the size of its bfloat16 form is known.
        guess = "table" in how and not subject.needs.streams
        return (warn if guess else fail)(
            f"{have}; loading takes about {gib(needed)} ({how})",
            "free memory (`ps aux --sort=-rss | head`), raise the container's limit, or load "
            "a quantized or smaller model"
            + (f"; {subject.needs.stream_remedy}" if subject.needs.stream_remedy else ""),
        )
    return ok(f"{have}; loading takes about {gib(needed)} ({how})")


def shm(subject: Subject) -> Outcome | None:
    """Size and free space of the shared-memory file system."""
    space = subject.host.shm
    if space is None:
        return fail("there is no /dev/shm", "mount -t tmpfs tmpfs /dev/shm")
    profile = subject.profile
    ranks = profile.tensor_parallel_size or 1 if profile else 1
    summary = f"{space.path}: {gib(space.free)} free of {gib(space.total)}"
    remedy = f"{_SHM_REMEDY}mount -o remount,size=32G {space.path}"
    if space.free < SHM_LEAST // 4:
        return fail(f"{summary}; the server's segments do not fit", f"{remedy}; `ls -la /dev/shm`")
    if ranks > 1 and space.free < SHM_PER_RANK * ranks // 4:
        return fail(f"{summary}; {ranks} ranks talk through it", remedy)
    if space.total <= SHM_LEAST or (ranks > 1 and space.free < SHM_PER_RANK * ranks):
        return warn(f"{summary}; little for {ranks} ranks", remedy)
    return ok(summary)


def container(subject: Subject) -> Outcome | None:
    """The tightest cgroup limits on memory and tasks."""
    memory, pids = subject.host.memory.limit, subject.host.pids
    parts = []
    if memory.value is not None:
        parts.append(f"memory {gib(memory.value)}, {gib(memory.used or 0)} used ({memory.how})")
    if pids.value is not None:
        parts.append(f"tasks {pids.value}, {pids.used or 0} used ({pids.how})")
    if not parts:
        return ok("no cgroup limit on memory or tasks")
    if pids.value is not None and pids.value - (pids.used or 0) < PIDS_LEAST:
        return warn(
            f"{'; '.join(parts)}; fewer than {PIDS_LEAST} tasks are left",
            "start the container with --pids-limit=-1 (systemd: TasksMax=infinity)",
        )
    return ok("; ".join(parts))


def own_cgroup(subject: Subject) -> Outcome | None:
    """Whether the engine can have a cgroup of its own, and `memory-max` an effect."""
    support = subject.host.cgroup
    limit = subject.profile.memory_max if subject.profile is not None else None
    if limit is not None and not support.memory:
        return warn(
            f"`memory-max: {gib(limit)}` has no effect: {support.message}",
            "run it as a systemd unit (`ernie-deploy enable`), which has `Delegate=yes`, or give "
            "the limit to the container",
        )
    if support.folder is None:
        return ok(f"the engine has no cgroup of its own: {support.message}")
    return ok(f"the engine gets a cgroup of its own {support.message}")


def fits(subject: Subject) -> Outcome | None:
    """The memory plan's answer for the cards that are here."""
    from launcher.preparation.memory import memory_plan

    engine = engine_of(subject)
    if subject.profile is None or engine is None or engine.memory is None:
        return None
    if subject.host.gpus.error or subject.running:
        return None
    try:
        result = memory_plan(subject.profile, version=_version(subject), gpu=None, largest=False)
    except DeployError as error:
        return unknown("; ".join(p.message for p in error.problems))
    except KeyError as error:
        # A config.json without one of the sizes: the model may still load with its defaults.
        return unknown(f"config.json does not tell {error.args[0]!r}")
    if result.errors:
        problem = result.errors[0]
        return fail(problem.message, problem.remedy or "")
    prediction = result.payload.prediction
    return ok(
        f"{prediction.blocks} KV blocks, {prediction.sequences} full-length sequences at once"
    )


def _host_peak(subject: Subject) -> tuple[int | None, str]:
    """Bytes of host memory that a load takes at its peak, and how that is known."""
    from launcher.host import weights

    profile = subject.profile
    if profile is None:
        return None, "no profile, so what a load takes is not known"
    if not profile.model_is_path:
        return _from_table(subject)
    try:
        checkpoint = weights.read(Path(profile.model))
    except (weights.BrokenCheckpoint, OSError):
        return None, "the model folder cannot be read"
    largest = max(checkpoint.files.values(), default=0)
    ranks = profile.tensor_parallel_size or 1
    on_cpu = subject.needs.cpu or bool(subject.host.gpus.error)
    if on_cpu and not subject.needs.gpu:
        # Without a GPU the weights stay in host memory beside what is still being read.
        return checkpoint.size + largest + ranks * 1024 * MIB, "the weights stay in host memory"
    if not subject.needs.streams:
        return (
            checkpoint.size + ranks * 3072 * MIB,
            "the loader holds all weights, and 3 GiB a rank",
        )
    return 2 * largest + ranks * 3072 * MIB, "twice the largest shard and 3 GiB a rank"


def _from_table(subject: Subject) -> tuple[int | None, str]:
    from launcher.preparation.memory import memory_plan

    if subject.profile is None:
        return None, "no profile"
    try:
        result = memory_plan(
            subject.profile, version=_version(subject), gpu="h800-80g", largest=False
        )
    except DeployError:
        return None, "nothing is known of the model's size"
    return int(result.payload.prediction.host_peak), "the table of published models"


def _version(subject: Subject) -> str | None:
    """The release that will load it, None where none is installed."""
    release = subject.installed.release if subject.installed else None
    return release.version if release else None


CHECKS = (
    Check(
        "memory-plan",
        "the model fits on the cards with the settings asked for",
        "an out-of-memory start shows only after the weights are loaded",
        fits,
        "memory",
        fast=False,
    ),
    Check(
        "host-memory",
        "host memory is enough for the load's peak",
        "the kernel kills the worker without a word in its log (FastDeploy#2723)",
        host,
        "memory",
        needs_profile=False,
    ),
    Check(
        "shm-size",
        "the shared-memory file system is large enough",
        "a full /dev/shm is a bus error in NCCL or a hang in the queues",
        shm,
        "memory",
        needs_profile=False,
    ),
    Check(
        "container-limits",
        "the container's limits leave room",
        "a limit that is reached looks like a crash of the engine",
        container,
        "memory",
        needs_profile=False,
    ),
    Check(
        "own-cgroup",
        "the engine can have a cgroup of its own",
        "a limit of memory that has no effect lets one server take the memory of all",
        own_cgroup,
        "memory",
        needs_profile=False,
    ),
)
