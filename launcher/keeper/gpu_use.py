"""How busy the engine's GPUs are, asked of the driver's own library.

Only asked where a verdict depends on it: the library stays unloaded in a keeper whose engine
always moved. Calls may block while a driver hangs, so they belong into the sampler's thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

LIBRARY = "libnvidia-ml.so.1"


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t: per cent of the last sample period (up to a second)."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class GpuUse:
    """The use of the GPUs that a plan names, or of the first `ranks` where it names none."""

    def __init__(self, gpus: Sequence[str] | None, ranks: int) -> None:
        """Nothing is loaded yet."""
        self._names = list(gpus) if gpus is not None else [str(rank) for rank in range(ranks)]
        self._library: ctypes.CDLL | None = None
        self._handles: list[ctypes.c_void_p] = []
        self._unusable = not self._names

    def read(self) -> float | None:
        """The use of the busiest one, 0 to 1; None where the driver does not tell."""
        if self._unusable or not self._open() or self._library is None:
            return None
        uses = []
        for handle in self._handles:
            use = _Utilization()
            if self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
                uses.append(use.gpu / 100)
        return max(uses, default=None)

    def _open(self) -> bool:
        if self._library is not None:
            return True
        try:
            library = ctypes.CDLL(LIBRARY)
            ready = library.nvmlInit_v2() == 0
        except (OSError, AttributeError):  # no driver, or one of before 2012
            ready = False
        if not ready:
            self._unusable = True
            return False
        for name in self._names:
            handle = ctypes.c_void_p()
            if name.isdigit():
                code = library.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(handle))
            else:
                code = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
            if code == 0:
                self._handles.append(handle)
        self._library = library
        self._unusable = not self._handles
        return not self._unusable
