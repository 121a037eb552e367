"""NVIDIA GPUs as the driver reports them: through nvidia-ml-py, else nvidia-smi, else unknown.

nvidia-ml-py is the optional extra `gpu`; it answers in milliseconds and names the processes that
hold memory. nvidia-smi is the fallback that every driver installs.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import subprocesses

SMI_DEADLINE = 10.0
"""Seconds nvidia-smi may take; without persistence mode the driver wakes every card first."""

MIB = 1024 * 1024

DEVICES = Path("/dev")
"""Where the driver makes a node `nvidiaN` for each GPU."""

_GPU_FIELDS = "index,uuid,name,compute_cap,memory.total,memory.free,driver_version"
_MEMORY_FIELDS = "index,uuid,memory.used,memory.total"
_PROCESS_FIELDS = "gpu_uuid,pid,used_memory"


@dataclass(frozen=True)
class GpuProcess:
    """A process with a context on a GPU; `memory` in bytes, None where the driver hides it.

    Inside a container the driver gives host pids: a pid may not exist in our namespace.
    """

    pid: int
    memory: int | None


@dataclass(frozen=True)
class Gpu:
    """One card; memory in bytes. `compute_capability` like (9, 0), None where not told."""

    index: int
    uuid: str
    name: str
    compute_capability: tuple[int, int] | None
    memory_total: int
    memory_free: int
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True)
class GpuReport:
    """What was found and how.

    `error` is None when the question was answered (`gpus` may still be empty: a driver without
    cards); otherwise it says why nothing is known. `cuda` is the newest CUDA the driver supports.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    how: str = ""
    error: str | None = None


def query() -> GpuReport:
    """Ask the driver; never raises and needs no GPU library of Python."""
    reasons = []
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        reasons.append("nvidia-ml-py is not installed")
    else:
        try:
            return _from_nvml(nvml)
        except nvml.NVMLError as error:
            reasons.append(f"NVML: {error}")
    smi = shutil.which("nvidia-smi")
    if smi is None:
        reasons.append("nvidia-smi is not on PATH")
        return GpuReport(how="nvidia-ml-py, nvidia-smi", error="; ".join(reasons))
    report = _from_smi(smi)
    if report.error:
        return GpuReport(how=report.how, error="; ".join([*reasons, report.error]))
    return report


def _from_nvml(nvml: Any) -> GpuReport:
    nvml.nvmlInit()
    try:
        version = int(nvml.nvmlSystemGetCudaDriverVersion())
        cards = tuple(_card(nvml, i) for i in range(nvml.nvmlDeviceGetCount()))
        driver = _text(nvml.nvmlSystemGetDriverVersion())
    finally:
        nvml.nvmlShutdown()
    cuda = f"{version // 1000}.{version % 1000 // 10}"
    return GpuReport(cards, driver, cuda, "NVML through nvidia-ml-py")


def _card(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        # Some virtual GPUs refuse this one question and answer all others.
        running = []
    return Gpu(
        index,
        _text(nvml.nvmlDeviceGetUUID(handle)),
        _text(nvml.nvmlDeviceGetName(handle)),
        (int(major), int(minor)),
        int(memory.total),
        int(memory.free),
        tuple(GpuProcess(int(p.pid), _optional_int(p.usedGpuMemory)) for p in running),
    )


def _text(value: str | bytes) -> str:
    # nvidia-ml-py before 12 answers with bytes.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _from_smi(smi: str) -> GpuReport:
    how = f"{smi} --query-gpu"
    rows, error = _smi_rows(smi, f"--query-gpu={_GPU_FIELDS}")
    if error:
        return GpuReport(how=how, error=error)
    holders, _ = _smi_rows(smi, f"--query-compute-apps={_PROCESS_FIELDS}")
    gpus = []
    driver = None
    for row in rows:
        if len(row) != 7 or not row[0].isdigit():
            return GpuReport(how=how, error=f"nvidia-smi answered {', '.join(row)!r}")
        processes = tuple(
            GpuProcess(int(h[1]), _mib(h[2]))
            for h in holders
            if len(h) == 3 and h[0] == row[1] and h[1].isdigit()
        )
        total, free = _mib(row[4]), _mib(row[5])
        gpus.append(
            Gpu(int(row[0]), row[1], row[2], _capability(row[3]), total or 0, free or 0, processes)
        )
        driver = row[6]
    return GpuReport(tuple(gpus), driver, _smi_cuda(smi), how)


def _smi_rows(smi: str, question: str) -> tuple[list[list[str]], str | None]:
    """The CSV rows of one question, or why there are none."""
    output, error = _run([smi, question, "--format=csv,noheader,nounits"])
    if error:
        return [], error
    return [[c.strip() for c in line.split(",")] for line in output.splitlines() if line], None


def _run(argv: list[str]) -> tuple[str, str | None]:
    try:
        done = subprocesses.run(argv, deadline=SMI_DEADLINE)
    except OSError as error:
        return "", f"nvidia-smi could not be run: {error.strerror}"
    if done.timed_out:
        return "", f"nvidia-smi did not answer within {SMI_DEADLINE:.0f} s"
    if done.too_long:
        return "", "nvidia-smi printed more than any list of GPUs has"
    if done.returncode:
        lines = (done.text + done.stderr.decode(errors="replace")).strip().splitlines()
        reason = lines[0][:200] if lines else "silent"
        return "", f"nvidia-smi exited with {done.returncode}: {reason}"
    return done.text, None


def _smi_cuda(smi: str) -> str | None:
    output, _ = _run([smi, "--version"])
    for line in output.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "CUDA Version":
            return value.strip() or None
    return None


def _mib(text: str) -> int | None:
    return int(text) * MIB if text.isdigit() else None


def _capability(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of one card."""

    used: int
    total: int


def memory_of(cards: Collection[str]) -> dict[str, GpuMemory] | None:
    """The memory of the `cards` (numbers or UUIDs) by nvidia-smi; None where it does not tell.

    A question to the driver's tool and not to NVML, which stays in the memory of who has asked.
    """
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None
    rows, error = _smi_rows(smi, f"--query-gpu={_MEMORY_FIELDS}")
    if error:
        return None
    memory = {}
    for row in rows:
        used, total = (_mib(row[2]), _mib(row[3])) if len(row) == 4 else (None, None)
        card = next((name for name in row[:2] if name in cards), None)
        if card is not None and used is not None and total is not None:
            memory[card] = GpuMemory(used, total)
    return memory


def device_numbers() -> tuple[int, ...]:
    """The GPUs that have a device node here, by number: known without asking the driver."""
    names = (path.name.removeprefix("nvidia") for path in DEVICES.glob("nvidia[0-9]*"))
    return tuple(sorted(int(name) for name in names if name.isdigit()))
