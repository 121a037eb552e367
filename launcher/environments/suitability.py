"""What is wrong with a profile on this machine: its GPUs, and what is installed beside the engine.

An engine judges a profile alone; these are the problems that end a load on one machine and not on
another.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from launcher.engines.base import Installed
from launcher.engines.common import problem
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.model_checks import check_folder_name
from launcher.engines.options import canonical
from launcher.engines.recommended import documented
from launcher.errors import Problem
from launcher.host import gpus
from launcher.host.gpus import GpuReport
from launcher.profile.model import Profile

HOPPER_ONLY = frozenset({"block_wise_fp8"})
"""Methods for Hopper and later (docs/quantization/online_quantization.md of FastDeploy)."""
HOPPER = (9, 0)
OLD_MODULE_NAMES = (5,)
"""The first version of transformers that makes a module name of any folder name."""


def check_machine(
    profile: Profile, installed: Installed, query: Callable[[], GpuReport] = gpus.query
) -> list[Problem]:
    """Every problem of `profile` with this machine; GPUs are asked only if it matters."""
    return [*_hopper(profile, query), *_module_name(profile, installed)]


def _hopper(profile: Profile, query: Callable[[], GpuReport]) -> list[Problem]:
    if profile.engine != "fastdeploy":
        return []
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


def _module_name(profile: Profile, installed: Installed) -> list[Problem]:
    """VLLM imports the code of a model with the transformers of its environment."""
    version = installed.distributions.get("transformers")
    if profile.engine != "vllm" or version is None:
        return []
    trusts = any(
        canonical(key) == "trust-remote-code" and value is True
        for key, value in profile.engine_args.items()
    )
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    return check_folder_name(profile, numbers) if trusts and numbers < OLD_MODULE_NAMES else []
