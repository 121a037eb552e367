"""The model: there, whole, and something this release can load."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from launcher.doctor.model import Check, Outcome, Subject, fail, gib, ok, unknown, warn
from launcher.host import weights
from launcher.json_values import list_at, object_at

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spm.model", "vocab.json", "vocab.txt")
_DOWNLOAD = "finish the download: `huggingface-cli download REPO --local-dir {folder}`"


def folder(subject: Subject) -> Outcome | None:
    """Configuration, tokenizer, every shard, each as long as its header says."""
    path = _folder(subject)
    if path is None:
        return None
    remedy = _DOWNLOAD.format(folder=path)
    if not path.is_dir():
        return fail(f"{path} is not a folder", "correct `model:` in the profile")
    pointers = [p.name for p in sorted(path.glob("*.safetensors")) if _is_pointer(p)]
    if pointers:
        return fail(
            f"Git LFS pointers instead of weights: {', '.join(pointers)}",
            f"git -C {path} lfs pull",
        )
    try:
        checkpoint = weights.read(path)
    except weights.BrokenCheckpoint as error:
        return fail(str(error), remedy)
    if not any((path / name).is_file() for name in TOKENIZERS):
        return fail(f"{path} has no tokenizer ({', '.join(TOKENIZERS)})", remedy)
    unreadable = [name for name in checkpoint.files if not _readable(path / name)]
    if unreadable:
        return fail(f"may not be read: {', '.join(unreadable)}", f"chmod -R u+r {path}")
    return ok(
        f"{path}: {len(checkpoint.files)} weight files, {len(checkpoint.tensors)} tensors,"
        f" {gib(checkpoint.size)}"
    )


def weight_format(subject: Subject) -> Outcome | None:
    """-Paddle against Hugging Face layout: `torch_dtype` in config.json tells them apart."""
    from launcher.engines.fastdeploy.memory import streamed

    config, line = _config(subject), _line(subject)
    if config is None or line is None:
        return None
    torch, paddle = "torch_dtype" in config, "dtype" in config
    newer = _numbers(config.get("transformers_version")) > (4, 56)
    if torch and paddle:
        return fail(
            "config.json has both torch_dtype and dtype: FastDeploy cannot tell the format",
            "restore config.json from the hub",
        )
    if not torch and not paddle:
        return warn("config.json has neither torch_dtype nor dtype", "use the -Paddle repository")
    if not (torch or newer):
        return ok("Paddle's layout, which every release reads")
    if line in ("2.0", "2.1"):
        return fail(
            f"Hugging Face layout; FastDeploy {line} reads only Paddle's",
            "use the -Paddle repository, or FastDeploy 2.2 or newer",
        )
    if subject.profile is not None and not streamed(subject.profile, line):
        return fail(
            f"Hugging Face layout; FastDeploy {line} reads it with the loader default_v1 only",
            "set `load-choices: default_v1` under engine-args",
        )
    return ok(f"Hugging Face layout, which FastDeploy {line} reads")


def architecture(subject: Subject) -> Outcome | None:
    """`architectures[0]` of config.json in the table of the release."""
    config, line = _config(subject), _line(subject)
    if config is None or line is None:
        return None
    names = config.get("architectures") or []
    if not names:
        return fail("config.json names no architecture", "restore config.json from the hub")
    first = next((r for r in _releases() if names[0] in _supported()[r]), None)
    if first is None:
        return fail(
            f"{names[0]} is in no FastDeploy release known here",
            "another engine (vllm, transformers), or another model",
        )
    if first > line:
        return fail(
            f"{names[0]} came with FastDeploy {first}, installed is {line}",
            f'ernie-deploy engine install "fastdeploy>={first}"',
        )
    return ok(f"{names[0]}, in FastDeploy since {first}")


def parallel_heads(subject: Subject) -> Outcome | None:
    """Attention heads are split over the ranks."""
    config = _config(subject)
    profile = subject.profile
    if config is None or profile is None:
        return None
    ranks = profile.tensor_parallel_size or 1
    heads = config.get("num_attention_heads")
    kv_heads = config.get("num_key_value_heads") or heads
    if not isinstance(heads, int) or not isinstance(kv_heads, int):
        return unknown("config.json does not tell the number of attention heads")
    summary = f"{heads} heads, {kv_heads} KV heads, tensor-parallel-size {ranks}"
    if heads % ranks or (kv_heads % ranks and ranks % kv_heads):
        fitting = [n for n in (1, 2, 4, 8, 16) if heads % n == 0 and kv_heads % n == 0]
        return fail(summary, f"set tensor-parallel-size to one of {fitting}")
    return ok(summary)


def _folder(subject: Subject) -> Path | None:
    if subject.profile is None or not subject.profile.model_is_path:
        return None
    return Path(subject.profile.model)


def _config(subject: Subject) -> dict[str, Any] | None:
    path = _folder(subject)
    if path is None:
        return None
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The check of the folder says what is wrong with it.
        return None
    return config if isinstance(config, dict) else None


def _line(subject: Subject) -> str | None:
    if subject.installed is None or subject.installed.release is None:
        return None
    return subject.installed.release.line


def _numbers(version: object) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(version))[:3])


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(7) == b"version" and path.stat().st_size < 1024


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except PermissionError:
        return False


@functools.cache
def _supported() -> dict[str, set[str]]:
    """Release line to the architectures it added."""
    from launcher.engines.fastdeploy.release_data import load

    added = object_at(load("models.json"), "architectures_by_release")
    return {name.partition("_")[0]: set(map(str, list_at(added, name))) for name in added}


def _releases() -> list[str]:
    return sorted(_supported())


CHECKS = (
    Check(
        "model-folder",
        "the model folder is complete",
        "a truncated shard is found by the worker, minutes into the load",
        folder,
    ),
    Check(
        "weight-format",
        "the weights have a layout that the release reads",
        "-PT weights on an old release end in a TypeError deep in the load (FastDeploy#2655)",
        weight_format,
        engines=("fastdeploy",),
    ),
    Check(
        "architecture",
        "the release implements the model's architecture",
        "FastDeploy says only that the model does not support its runner",
        architecture,
        engines=("fastdeploy",),
    ),
    Check(
        "parallel-heads",
        "the attention heads can be split over the ranks",
        "an uneven split fails while the weights are loaded",
        parallel_heads,
    ),
)
