"""Which builds fit this machine: FastDeploy's wheel index by GPU, torch's build by CPU or GPU."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from packaging.version import Version

from launcher.environments.recipes import GIB, Recipe, builds
from launcher.errors import PreconditionError, Problem
from launcher.host.gpus import GpuReport

REACH_DEADLINE = 8.0
"""Seconds to find out whether PyTorch's own index can be reached."""


@dataclass(frozen=True)
class TorchChoice:
    """The torch requirement, the index to add for it, its extra room on disk, and what to say."""

    version: str
    index: str | None = None
    disk: int = 0
    note: str | None = None


def architecture(
    recipe: Recipe, report: GpuReport, chosen: str | None = None, version: str | None = None
) -> str:
    """The key of FastDeploy's wheel index for this machine's GPUs and `version`.

    `80_90` or `86_89`, from 2.5 on `cu126` or `cu129`: what the driver supports decides then.

    Raises:
        PreconditionError: no GPU and none chosen, cards of two kinds, an architecture FastDeploy
            has no wheels for, a driver that is too old, or another processor than x86_64.
    """
    if platform.machine() != recipe.data["platform"]:
        raise _refuse(
            "unsupported-platform",
            f"FastDeploy's wheels are for Linux {recipe.data['platform']}, "
            f"this is {platform.machine()}",
        )
    kinds = builds(recipe, version)
    if chosen is not None:
        if chosen not in kinds:
            raise _refuse(
                "unsupported-gpu",
                f"FastDeploy {version} has no wheels called {chosen!r}",
                f"one of: {', '.join(kinds)}",
            )
        return chosen
    by_cuda = kinds is not recipe.data["architectures"]
    explained = "; ".join(f"--arch {key} for {kind['cards']}" for key, kind in kinds.items())
    if not report.gpus:
        raise _refuse(
            "no-gpu",
            f"FastDeploy's wheels are built per {'CUDA version' if by_cuda else 'GPU architecture'}"
            ", and no GPU was found here "
            f"({report.error or 'the driver names none'})",
            f"on a machine without a GPU say which one it is for: {explained}",
        )
    _check_driver(recipe, report)
    if by_cuda:
        for gpu in report.gpus:
            _kind_of(recipe, gpu.name, gpu.compute_capability, kinds)
        return _cuda_build(kinds, report.cuda)
    detected = {_kind_of(recipe, gpu.name, gpu.compute_capability, kinds) for gpu in report.gpus}
    if len(detected) > 1:
        raise _refuse(
            "mixed-gpus",
            "this machine's GPUs need different builds of FastDeploy: "
            + ", ".join(f"{gpu.index} {gpu.name}" for gpu in report.gpus),
            f"choose one: {explained}",
        )
    return detected.pop()


def torch_build(
    recipe: Recipe,
    *,
    version: str,
    has_gpu: bool,
    offered: Iterable[str],
    own_index: bool,
    reach: Callable[[str], str | None],
) -> TorchChoice | None:
    """The build of torch to install beside `version` of the engine; None where it needs none.

    `offered` are torch's versions in the sources pip is configured with, `own_index` is true where
    the user named the index, `reach` says why an address cannot be reached, or None.

    Raises:
        PreconditionError: only a build that cannot work is to be had.
    """
    torch: Mapping[str, Any] | None = recipe.data.get("torch")
    if torch is None:
        return None
    pinned, cpu = torch["version"], f"{torch['version']}+cpu"
    offered = set(offered)
    if has_gpu and not torch.get("cpu-only"):
        # `==` alone would take a `+cpu` build for the newer one wherever both are on offer.
        return TorchChoice(f"{pinned},!={cpu}" if pinned in offered else pinned)
    # Another release of an engine that pins torch itself may want another torch.
    any_cpu = bool(torch.get("cpu-only")) and version != recipe.default
    if cpu in offered and not any_cpu:
        return TorchChoice(cpu)
    index = torch["cpu-index"]
    why = "another index was named" if own_index else reach(index)
    if why is None:
        return TorchChoice(cpu, index)
    if any_cpu:
        return TorchChoice(cpu)
    if torch.get("cpu-only"):
        raise _refuse(
            "no-cpu-torch",
            f"{recipe.name} {version} needs torch {cpu}: the sources pip is configured with do "
            f"not have it for this Python, and {index} cannot be used ({why})",
            "name a folder or page that has the wheel with --find-links",
        )
    if pinned not in offered:
        raise _refuse(
            "no-such-version",
            f"torch {pinned} is not in the sources pip is configured with, and {index} cannot be "
            f"used ({why})",
            "name an index with --index-url, or a folder of wheels with --find-links",
        )
    return TorchChoice(
        pinned,
        disk=int(torch["cuda-disk-gib"] * GIB),
        note=f"only the CUDA build of torch {pinned} can be had ({index}: {why}): it works without "
        f"a GPU, but is about {torch['cuda-download-gib']} GiB to download and "
        f"{torch['cuda-disk-gib']:g} GiB on disk",
    )


def reach(index: str) -> str | None:
    """Why an index cannot be reached, or None where it answers."""
    try:
        answer = requests.head(f"{index}/torch/", timeout=REACH_DEADLINE, allow_redirects=True)
    except requests.RequestException as error:
        return f"cannot be reached: {type(error).__name__}"
    return None if answer.ok else f"answers {answer.status_code}"


def _cuda_build(kinds: Mapping[str, Any], supported: str | None) -> str:
    """The newest build that the driver supports; the oldest where it does not tell, or is older.

    A driver runs every build of its own major CUDA version (minor version compatibility), so the
    oldest works wherever `minimum-driver` is met.
    """
    by_age = sorted(kinds, key=lambda key: Version(kinds[key]["cuda"]))
    fitting = [
        key for key in by_age if supported and Version(kinds[key]["cuda"]) <= Version(supported)
    ]
    return fitting[-1] if fitting else by_age[0]


def _kind_of(
    recipe: Recipe, name: str, capability: tuple[int, int] | None, kinds: Mapping[str, Any]
) -> str:
    if capability is None:
        raise _refuse(
            "unknown-gpu", f"the driver does not say the architecture of {name}", "use --arch"
        )
    text = f"{capability[0]}.{capability[1]}"
    for key, kind in kinds.items():
        if text in kind["compute-capability"]:
            return key
    reasons: Mapping[str, str] = recipe.data["unsupported"]
    reason = reasons.get(text, "FastDeploy has no wheels for this architecture")
    raise _refuse("unsupported-gpu", f"{name} (compute capability {text}): {reason}")


def _check_driver(recipe: Recipe, report: GpuReport) -> None:
    minimum = recipe.data["minimum-driver"]
    major = (report.driver or "").partition(".")[0]
    if major.isdigit() and int(major) < minimum:
        raise _refuse(
            "old-driver",
            f"the NVIDIA driver is {report.driver}; FastDeploy's wheels need {minimum} or newer",
            "update the driver",
        )


def _refuse(code: str, message: str, remedy: str | None = None) -> PreconditionError:
    return PreconditionError(Problem(code, message, remedy=remedy))
