"""What a release of FastDeploy does with a model, found out minutes into the load or never."""

from __future__ import annotations

from launcher.engines.common import problem
from launcher.engines.fastdeploy.catalogue import table
from launcher.engines.fastdeploy.models import model_facts
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.model_checks import check_gguf, check_heads, config_of, heads_of
from launcher.errors import Problem
from launcher.json_values import number_at
from launcher.profile.model import Profile

LONGER = 4
"""A model whose context is this many times the default is warned about."""


def check(profile: Profile, line: str) -> list[Problem]:
    """What is wrong with the model on release `line`."""
    requested = Requested(profile)
    return [
        *check_gguf(profile, "FastDeploy"),
        *_multimodal(profile, requested, line),
        *_parallel(profile, requested, line),
    ]


def is_vision(profile: Profile) -> bool:
    """Whether the model takes images: by its name, or by the configuration of a local folder."""
    model = model_facts(profile)
    return model.vision if model else "vision_config" in config_of(profile)


def _multimodal(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    """2.0 takes a vision model for text without its switch (enable_mm in engine/config.py)."""
    if line != "2.0" or not is_vision(profile) or requested.value("enable-mm") is True:
        return []
    key = requested.key("enable-mm") if requested.value("enable-mm") is not None else "model"
    return [
        problem(profile, key, "impossible-combination",
                f"{profile.model} takes images, and FastDeploy 2.0 treats a model as text without "
                "`enable-mm`", "set `engine-args: {enable-mm: true}`, or use FastDeploy 2.1 or "
                "later")
    ]  # fmt: skip


def _parallel(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    """Heads that cannot be shared, and copies of KV heads that an early release cannot make.

    2.0: QKVParallelLinear divides the KV heads by the ranks without a copy (layers/linear.py:420 at
    51f1306d). 2.1: the cache manager gets 0 KV heads, its start is waited for without end
    (prefix_cache_manager.py:153 at d4e3a203; repaired by PaddlePaddle/FastDeploy#3717 before 2.2).
    It is started with prefix caching, or with a role other than mixed (engine.py:189).
    """
    ranks, key = requested.tensor_parallel, requested.key("tensor-parallel-size")
    facts = model_facts(profile)
    heads = heads_of(profile) or (facts.all_heads if facts else None)
    problems = check_heads(profile, key, ranks, heads, copies_heads=line != "2.0")
    if problems or heads is None or line != "2.1" or ranks <= heads[1]:
        return problems
    if requested.value("enable-prefix-caching") is not True and requested.role == "mixed":
        return []
    return [
        problem(profile, key, "impossible-combination",
                f"{profile.model} has {heads[1]} KV heads: with {ranks} GPUs and a cache manager, "
                "FastDeploy 2.1 waits for it without end (PaddlePaddle/FastDeploy#3717)",
                f"set tensor-parallel-size to {heads[1]} or less, or use FastDeploy 2.2 or later")
    ]  # fmt: skip


def notes(profile: Profile, line: str) -> tuple[str, ...]:
    """A warning where the default context is a small part of what the model can do."""
    requested = Requested(profile)
    option = table(line).get("max-model-len")
    default = option.default if option else None
    context = _context(profile)
    if (
        requested.value("max-model-len") is not None
        or not isinstance(default, int)
        or context is None
        or context < LONGER * default
    ):
        return ()
    where = profile.where("model")
    prefix = f"{where}: " if where else ""
    return (
        f"{prefix}warning: `max-model-len` is not set: FastDeploy {line} has {default} "
        f"tokens for a prompt with its answer, {profile.model} {context}; set `max-model-len`",
    )


def _context(profile: Profile) -> int | None:
    size = number_at(config_of(profile), "max_position_embeddings")
    if isinstance(size, int):
        return size
    facts = model_facts(profile)
    return facts.context if facts else None
