"""What a FastDeploy server can leave behind when it ends, even cleanly.

/dev/shm names and folders as measured on 2.4; paths and project numbers of the System V queues
from custom_ops/gpu_ops: get_output.cc and save_with_output_msg.cc (/dev/shm, Q; in 2.0 and 2.1
gpu_model_runner.py adds the rank), speculate_*.cc (the working directory, Q),
remote_cache_kv_ipc.h and get_output_ep.cc (/opt, Q + rank in 2.4, 1024 + rank before).
"""

from __future__ import annotations

from launcher.engines.base import PlanContext
from launcher.engines.fastdeploy.ports import TWENTY_BITS, batches_answers, ports
from launcher.engines.fastdeploy.release_data import at_least, nearest_line
from launcher.engines.fastdeploy.requested import Requested
from launcher.plan.model import FtokKey, Leftovers
from launcher.profile.model import Profile

SIGNALS = (
    "cache_ready_signal",
    "cache_task_broadcast_signal",
    "cache_task_inflight",  # from 2.4 on, as is the next one
    "cache_task_is_paused",
    "cache_transfer_inited_signal",  # from 2.5 on
    "exist_prefill_task_signal",
    "exist_swapped_task_signal",
    "exist_task_signal",
    "exist_tasks_intra_signal",
    "get_profile_block_num",
    "kv_cache_status",
    "launched_cache_manager_signal",
    "launched_expert_service_signal",
    "loaded_model_signal",
    "model_weights_status",
    "need_block_num_signal",
    "prefix_tree_status",
    "swap_space_ready_signal",
    "worker_healthy_live_signal",
    "worker_ready_signal",
)
"""Shared-memory segments, each with the queue port as suffix (`worker_ready_signal.8182`)."""

KV_SIGNAL = 1024
"""First queue number of the cache signals between prefill and decode in 2.0 to 2.3."""

PID = "{pid}"
"""Stands for the main process's number: 2.0 and 2.1 name sockets and segments by it."""

TEMPORARY = {
    "2.0": ("/tmp/prom_main", "/tmp/prom_worker"),  # noqa: S108
    "2.1": ("/tmp/prom_main", "/tmp/prom_worker"),  # noqa: S108
    "2.2": ("/tmp/prom_main", "/tmp/prom_worker"),  # noqa: S108
    "2.3": ("/tmp/prom_main_*", "/tmp/prom_worker_*"),  # noqa: S108
    "2.4": (),
    "2.5": (),
    "2.6": (),
}
"""Folders whose place is written into the code, beside those of `EVERY_RELEASE`.

metrics.py's cleanup_prometheus_files: 2.0 to 2.2 remove and make anew the one folder that all
servers of a host share, 2.3 appends a uuid; 2.4 and later keep to the folder they are given.
"""

EVERY_RELEASE = ("/tmp/fd_prom_*", "/tmp/fd_weight_clear_update_lock__*")  # noqa: S108


def leftovers(profile: Profile, context: PlanContext) -> Leftovers:
    """Everything that may be left, for the ports of this plan."""
    line = nearest_line(context.release.line)
    api = context.ports["api"]
    queues = _queue_ports(profile, context)
    shm = [f"{api}.socket", f"router_{api}.ipc"]
    shm += [f"{name}.{queue}" for queue in queues for name in SIGNALS]
    shm += [f"fd_task_queue_{queue}.sock" for queue in queues]
    if at_least(line, "2.5"):
        ranks = range(Requested(profile).local_ranks)
        shm += [f"fmq_ctrl_w2e_rank{rank}_{queue}.ipc" for queue in queues for rank in ranks]
        shm += [f"fd_lock_gpu_cache_lock.{queue}" for queue in queues]
    if at_least(line, "2.6"):
        caches = _numbers(profile, context, "cache-queue")
        shm += [f"fd_task_queue_{cache}.sock" for cache in caches]
        if batches_answers(profile, line):
            shm.append(f"response_{api}_w*.pull")
    if profile.env.get("FD_USE_GET_SAVE_OUTPUT_V1") == "1":
        shm += [
            f"get_save_output_rank{rank}.socket" for rank in range(Requested(profile).local_ranks)
        ]
    if not at_least(line, "2.2"):
        shm += [f"{PID}.socket", f"router_{PID}.ipc", *(f"{name}.{PID}" for name in SIGNALS)]
    if at_least(line, "2.3"):
        shm.append("processor_cache.ipc")
    return Leftovers(
        shm=tuple(shm),
        queues=_queues(profile, context, queues),
        temporary=(*EVERY_RELEASE, *TEMPORARY[line]),
    )


def _queue_ports(profile: Profile, context: PlanContext) -> tuple[int, ...]:
    return _numbers(profile, context, "engine-worker-queue")


def _numbers(profile: Profile, context: PlanContext, name: str) -> tuple[int, ...]:
    first = context.ports[name]
    for need in ports(profile, context.release):
        if need.name == name:
            return tuple(first + i for i in range(need.span))
    return (first,)


def _queues(profile: Profile, context: PlanContext, queues: tuple[int, ...]) -> tuple[FtokKey, ...]:
    requested = Requested(profile)
    if at_least(context.release.line, TWENTY_BITS):
        keys = [FtokKey("/dev/shm", queue & 0xFFFFF, bits=20) for queue in queues]  # noqa: S108
    else:
        keys = [FtokKey("/dev/shm", queue & 0xFF) for queue in queues]  # noqa: S108
    if requested.value("speculative-config") is not None:
        keys += [FtokKey(str(context.temporary_folder), queue & 0xFF) for queue in queues]
    if requested.role != "mixed":
        # Before 2.4 every prefill or decode server of a host has the same keys.
        first = queues[0] if at_least(context.release.line, "2.4") else KV_SIGNAL
        keys += [FtokKey("/opt", (first + rank) & 0xFF) for rank in range(requested.local_ranks)]
    return tuple(dict.fromkeys(keys))
