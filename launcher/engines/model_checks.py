"""What is wrong with a model whatever its engine's flags are: layout, format, heads, folder name.

A local folder is judged by its `config.json`, a hub id by its name. Nothing is downloaded and no
weights are opened.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from launcher import files
from launcher.engines.common import problem
from launcher.errors import Problem
from launcher.json_values import JsonObject, number_at, object_at
from launcher.profile.model import Profile

CONFIG_BYTES = 4 * 1024 * 1024
CONFIG_DEADLINE = 5.0
"""Limits of reading a `config.json`: its size, and seconds for a slow file system."""

_GGUF = re.compile(r"(^|[-_./:])gguf($|[-_./:])", re.IGNORECASE)


def config_of(profile: Profile) -> JsonObject:
    """The `config.json` of a local model; empty where there is none that can be read."""
    return config_in(Path(profile.model)) if profile.model_is_path else {}


def config_in(folder: Path) -> JsonObject:
    """The `config.json` of the model in `folder`; empty where there is none that can be read."""
    try:
        config = json.loads(files.read_input(folder / "config.json", CONFIG_BYTES, CONFIG_DEADLINE))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def check_gguf(profile: Profile, title: str) -> list[Problem]:
    """GGUF weights of ERNIE, which no engine here loads.

    transformers 5.23 ends with "GGUF model with architecture ernie4_5-moe is not supported yet"
    (PaddlePaddle/ERNIE#1389), vLLM 0.32.0 has no quantization method gguf, and the word is not in
    FastDeploy's sources.
    """
    if not _is_gguf(profile):
        return []
    return [
        problem(profile, "model", "model-not-supported",
                f"{profile.model} has GGUF weights, which {title} does not load for ERNIE",
                "use the repository of the original weights (-Paddle for FastDeploy, -PT for vLLM "
                "and transformers), or llama.cpp for GGUF")
    ]  # fmt: skip


def _is_gguf(profile: Profile) -> bool:
    name = profile.model.rstrip("/")
    if not profile.model_is_path:
        return bool(_GGUF.search(name))
    if name.lower().endswith(".gguf"):
        return True
    try:
        names = os.listdir(name)
    except OSError:
        return False
    return any(file.lower().endswith(".gguf") for file in names) and not any(
        file.endswith((".safetensors", ".pdparams", ".bin")) for file in names
    )


def check_layout(profile: Profile, title: str) -> list[Problem]:
    """Paddle's weights for an engine that reads Hugging Face's layout only.

    torch engines take the tensors of a -Paddle repository under other names or transposed: the
    load ends with missing weights, or the answers are noise.
    """
    model = profile.model.rstrip("/")
    if not model.lower().endswith("-paddle") and not _has_paddle_layout(config_of(profile)):
        return []
    sibling = re.sub(r"-paddle$", "-PT", model.rpartition("/")[2], flags=re.IGNORECASE)
    remedy = f"use {sibling}" if sibling.endswith("-PT") else "use the -PT repository"
    return [
        problem(profile, "model", "model-not-supported",
                f"{profile.model} has weights in Paddle's layout, which {title} does not read",
                f"{remedy}, or `engine: fastdeploy`")
    ]  # fmt: skip


def _has_paddle_layout(config: JsonObject) -> bool:
    """Whether `config.json` is of Paddle: `dtype` without `torch_dtype`, as FastDeploy judges.

    transformers writes `dtype` too, from 4.56 on, and always its own version beside it.
    """
    return "dtype" in config and not {"torch_dtype", "transformers_version"} & set(config)


def heads_of(profile: Profile) -> tuple[int, int] | None:
    """Attention heads and KV heads of a local model, None where they are not known."""
    config = config_of(profile)
    for part in (config, object_at(config, "text_config")):
        heads = number_at(part, "num_attention_heads")
        if isinstance(heads, int) and heads > 0:
            kv_heads = number_at(part, "num_key_value_heads")
            return heads, kv_heads if isinstance(kv_heads, int) and kv_heads > 0 else heads
    return None


def check_heads(
    profile: Profile,
    key: str,
    ranks: int,
    heads: tuple[int, int] | None,
    *,
    copies_heads: bool = True,
) -> list[Problem]:
    """A tensor-parallel size that cannot share the attention heads.

    `heads` are the attention heads and the KV heads, None where they are not known.
    `copies_heads`: with more ranks than KV heads, each rank gets a copy of one.
    """
    if heads is None or ranks < 1:
        return []
    queries, keys = heads
    shares = keys % ranks == 0 or (copies_heads and ranks % keys == 0)
    if queries % ranks == 0 and shares:
        return []
    sizes = [size for size in (1, 2, 4, 8, 16) if queries % size == 0 and keys % size == 0]
    return [
        problem(profile, key, "impossible-combination",
                f"{profile.model} has {queries} attention heads and {keys} KV heads, which cannot "
                f"be shared by {ranks} GPUs",
                f"set tensor-parallel-size to one of {', '.join(map(str, sizes))}")
    ]  # fmt: skip


def check_folder_name(
    profile: Profile, transformers: tuple[int, ...], key: str = "model"
) -> list[Problem]:
    """A dot in the name of a local folder whose code transformers imports as a module.

    Before 5.0 the folder's name is the module's name as it is, so that
    `transformers_modules.ERNIE-4.5-VL` is looked for in `transformers_modules.ERNIE-4`
    (get_cached_module_file in dynamic_module_utils.py of 4.54.0 and 4.56.2).
    """
    name = os.path.basename(os.path.normpath(profile.model))
    if not profile.model_is_path or "." not in name or transformers >= (5,):
        return []
    if not object_at(config_of(profile), "auto_map"):
        return []
    return [
        problem(profile, key, "bad-model-path",
                f"transformers {'.'.join(map(str, transformers))} imports the code of {name} as a "
                "module, and the dot in its name ends the import with ModuleNotFoundError",
                f"link the folder to a name without a dot: ln -s {profile.model} "
                f"{profile.model.replace(name, name.replace('.', '_'))}, or use transformers 5")
    ]  # fmt: skip
