"""The model: there, whole, and something this release can load."""

from __future__ import annotations

import json
from pathlib import Path

from launcher.doctor.model import Check, Outcome, Subject, fail, gib, ok, unknown
from launcher.host import weights
from launcher.json_values import JsonObject

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spm.model", "vocab.json", "vocab.txt")
_DOWNLOAD = "download it again: `ernie-deploy model pull REPO --to {folder}`, after moving it away"


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


def _config(subject: Subject) -> JsonObject | None:
    path = _folder(subject)
    if path is None:
        return None
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The check of the folder says what is wrong with it.
        return None
    return config if isinstance(config, dict) else None


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(7) == b"version" and path.stat().st_size < 1024


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except PermissionError:
        return False


CHECKS = (
    Check(
        "model-folder",
        "the model folder is complete",
        "a truncated shard is found by the worker, minutes into the load",
        folder,
        "model",
    ),
    Check(
        "parallel-heads",
        "the attention heads can be split over the ranks",
        "an uneven split fails while the weights are loaded",
        parallel_heads,
        "model",
    ),
)
