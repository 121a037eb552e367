"""What is wrong with a FastDeploy profile on one machine's GPUs only."""

from __future__ import annotations

from collections.abc import Callable

from launcher.engines.common import problem
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.recommended import documented
from launcher.errors import Problem
from launcher.host.gpus import GpuReport
from launcher.profile.model import Profile

HOPPER_ONLY = frozenset({"block_wise_fp8"})
"""Methods for Hopper and later (docs/quantization/online_quantization.md of FastDeploy)."""
HOPPER = (9, 0)


def check_gpus(profile: Profile, query: Callable[[], GpuReport]) -> list[Problem]:
    """Quantization methods that need newer cards; GPUs are asked only where one is named."""
    requested = Requested(profile)
    method, key = requested.value("quantization"), requested.key("quantization")
    settings = requested.mapping("quantization")
    if settings is not None:
        method = settings.get("quantization")
    if method is None:
        facts = documented("fastdeploy", profile.model)
        method, key = (facts.stored_as if facts else None), "model"
    if method not in HOPPER_ONLY:
        return []
    older = [
        card
        for card in query().gpus
        if (profile.gpus is None or str(card.index) in profile.gpus)
        and card.compute_capability is not None
        and card.compute_capability < HOPPER
    ]
    if not older:
        return []
    major, minor = older[0].compute_capability or (0, 0)
    return [
        problem(profile, key, "impossible-combination",
                f"{method} needs a GPU of compute capability {HOPPER[0]}.{HOPPER[1]} (Hopper) or "
                f"later; GPU {older[0].index} {older[0].name} has {major}.{minor}",
                "set `quantization: wint8` or `wint4`, with the repository of the original weights")
    ]  # fmt: skip
