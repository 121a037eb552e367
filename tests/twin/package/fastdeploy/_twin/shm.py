"""The shared-memory signals of one engine, named ``<signal>.<number>`` in /dev/shm.

Real POSIX segments through multiprocessing.shared_memory, so that the real resource trackers do
what they do on the real server: unlink what a dead worker had attached, and complain about leaks.
"""

from __future__ import annotations

import contextlib
import os
import struct
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

from fastdeploy._twin import release

#: Attached by the worker as well: its tracker removes these ten when the worker dies.
SHARED: tuple[str, ...] = (
    "worker_ready_signal",
    "worker_healthy_live_signal",
    "model_weights_status",
    "exist_task_signal",
    "exist_swapped_task_signal",
    "exist_prefill_task_signal",
    "exist_tasks_intra_signal",
    "get_profile_block_num",
    "loaded_model_signal",
    "launched_cache_manager_signal",
)
if release.RELEASE == "2.4" or (
    release.at_least("2.6") and int(os.environ.get("FD_ENGINE_TASK_QUEUE_WITH_SHM", "1"))
):
    # Not in release/2.4 (measured); in 2.6 not where Q is a Unix socket.
    SHARED = tuple(name for name in SHARED if name != "exist_tasks_intra_signal")
#: Only the front end's: these six stay when its whole group is killed.
OWN = (
    "cache_ready_signal",
    "cache_task_broadcast_signal",
    "kv_cache_status",
    "need_block_num_signal",
    "prefix_tree_status",
    "swap_space_ready_signal",
    *(("cache_task_inflight", "cache_task_is_paused") if release.at_least("2.4") else ()),
    *(("cache_transfer_inited_signal",) if release.at_least("2.5") else ()),
)
#: Made by 2.5 and later, and left by a clean stop too: measured on the front ends of 2.5 and 2.6.
LEFT = ("fd_lock_gpu_cache_lock.{}", "fmq_ctrl_w2e_rank0_{}.ipc")
SLOTS = 16


class Signals:
    """int32 arrays in shared memory.

    Args:
        suffix: the number in every name: Q, in 2.0 and 2.1 the pid of the api_server.
        create: make them (the front end) or attach the worker's ten.
    """

    def __init__(self, suffix: int, *, create: bool) -> None:
        self.suffix = suffix
        self._segments: dict[str, SharedMemory] = {}
        if create and release.at_least("2.5"):
            for name in LEFT:
                with open(f"/dev/shm/{name.format(suffix)}", "ab"):
                    os.chmod(f"/dev/shm/{name.format(suffix)}", 0o600)
        for name in SHARED + OWN if create else SHARED:
            self._segments[name] = self._open(f"{name}.{suffix}", create)

    @staticmethod
    def _open(name: str, create: bool) -> SharedMemory:
        if not create:
            return SharedMemory(name=name)
        if os.path.exists(f"/dev/shm/{name}"):
            # ipc_signal.py: "ShareMemory: ... already exists, delete it"
            os.unlink(f"/dev/shm/{name}")
        return SharedMemory(name=name, create=True, size=4 * SLOTS)

    def get(self, name: str, index: int = 0) -> int:
        value: int = struct.unpack_from("<i", self._view(name), 4 * index)[0]
        return value

    def put(self, name: str, value: int, index: int = 0) -> None:
        struct.pack_into("<i", self._view(name), 4 * index, value)

    def _view(self, name: str) -> memoryview:
        view = self._segments[name].buf
        assert view is not None
        return view

    def total(self, name: str) -> int:
        return sum(self.get(name, index) for index in range(SLOTS))

    def unlink(self, *names: str) -> None:
        """Remove the names; the mapping stays readable for threads that still look at it."""
        for name in names or tuple(self._segments):
            label = f"{name}.{self.suffix}"
            with contextlib.suppress(FileNotFoundError):  # the worker's resource tracker was faster
                os.unlink(f"/dev/shm/{label}")
            resource_tracker.unregister(f"/{label}", "shared_memory")


def quiet_close(memory: SharedMemory) -> None:
    """SharedMemory.__del__ must not raise while views are alive at exit."""


SharedMemory.__del__ = quiet_close  # type: ignore[method-assign]
