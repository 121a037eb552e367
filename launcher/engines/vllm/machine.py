"""What is wrong with a vLLM profile beside what is installed in its environment only."""

from __future__ import annotations

import re

from launcher.engines.model_checks import check_folder_name
from launcher.engines.options import canonical
from launcher.engines.release import Installed
from launcher.errors import Problem
from launcher.profile.model import Profile

OLD_MODULE_NAMES = (5,)
"""The first version of transformers that makes a module name of any folder name."""


def check_module_name(profile: Profile, installed: Installed) -> list[Problem]:
    """VLLM imports the code of a model with the transformers of its environment."""
    version = installed.distributions.get("transformers")
    if version is None:
        return []
    trusts = any(
        canonical(key) == "trust-remote-code" and value is True
        for key, value in profile.engine_args.items()
    )
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    return check_folder_name(profile, numbers) if trusts and numbers < OLD_MODULE_NAMES else []
