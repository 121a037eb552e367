"""FastDeploy's side of the memory plan: its costs, and the shape of the models it serves."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from launcher.engines.base import Release
from launcher.engines.fastdeploy.catalogue import LINES, catalogue_key, load, table
from launcher.engines.fastdeploy.requested import Requested, batched_tokens, v1_scheduler
from launcher.plan.memory import Ask, Costs, Shape
from launcher.profile.model import Profile

MIB = 1024**2


@functools.lru_cache(maxsize=1)
def costs() -> Costs:
    """What FastDeploy adds, from `data/memory.json`, which names the sources."""
    data = load("memory.json")
    return Costs(
        weight_bytes=data["weight_bytes"],
        replicated=tuple(data["replicated"]),
        context=data["context_mib"] * MIB,
        graphs=data["graphs_mib"] * MIB,
        per_rank_communication=data["communication_mib"] * MIB,
        activation_factor=data["activation_factor"],
        spare_blocks=data["spare_blocks"],
        most_blocks=data["most_blocks"],
        host_base=data["host_base_mib"] * MIB,
        most_sequences=data["most_sequences"],
    )


def reported_blocks(lines: Iterable[str]) -> int | None:
    """The number of KV blocks the engine says it has, the first pattern that is found winning."""
    patterns = [re.compile(p) for p in load("memory.json")["reported"]]
    blocks_by_rank: dict[int, int] = {}
    for line in lines:
        for rank, pattern in enumerate(patterns):
            match = pattern.search(line)
            if match:
                blocks_by_rank[rank] = int(match.group("blocks"))
    return blocks_by_rank[min(blocks_by_rank)] if blocks_by_rank else None


def ask(profile: Profile, release: Release | None) -> Ask:
    """What the profile asks for, with the release's own defaults where it does not say.

    Defaults: max-model-len 2048, max-num-seqs 8, block-size 64, gpu-memory-utilization 0.9;
    max-num-batched-tokens as the release resolves it. `release` None: the newest one known.
    """
    line = catalogue_key(release) if release else LINES[-1]
    requested = Requested(profile)
    method, cached_in = _quantization(requested)
    return Ask(
        tensor_parallel=requested.tensor_parallel,
        quantization=method,
        max_model_len=requested.integer("max-model-len") or 2048,
        max_num_seqs=requested.integer("max-num-seqs") or 8,
        max_num_batched_tokens=batched_tokens(requested, line),
        block_size=requested.integer("block-size") or 64,
        utilization=requested.number("gpu-memory-utilization") or 0.9,
        kv_bytes=cached_in,
        blocks_override=requested.integer("num-gpu-blocks-override"),
        # Before the V1 scheduler only this share of the blocks may hold prompts.
        prefill_share=1.0
        if v1_scheduler(requested, line)
        else requested.number("kv-cache-ratio") or 0.75,
        streamed=streamed(profile, line),
    )


def streamed(profile: Profile, line: str) -> bool:
    """Whether the loader hands tensors on one by one; see `streaming_loader` in memory.json."""
    option = table(line).get("load-choices")
    choice = Requested(profile).value("load-choices") or (option.default if option else None)
    return bool(choice == load("memory.json")["streaming_loader"])


def _quantization(requested: Requested) -> tuple[str | None, int]:
    """The method, and the bytes of one number in the KV cache.

    A JSON object that names no method is a checkpoint's own settings, of which no figures are
    known: its text stands for the method.
    """
    kv = load("memory.json")["kv_bytes"]
    value, settings = requested.value("quantization"), requested.mapping("quantization")
    if settings is None:
        method = None if value is None else str(value)
        return method, kv.get(method, kv["*"])
    method = str(settings.get("quantization") or value)
    if settings.get("kv_cache_quant_type"):
        return method, kv["kvcache"]
    return method, kv.get(method, kv["*"])


def category(name: str, dimensions: int) -> str:
    """The category of a tensor by its name in ERNIE 4.5 checkpoints (both layouts)."""
    if "vision" in name or "resampler" in name or name.startswith("visual"):
        return "vision"
    if "embed_tokens" in name or "lm_head" in name:
        return "embedding"
    if dimensions < 2 or ".gate." in name or name.endswith((".gate", "e_score_correction_bias")):
        return "replicated"
    if ".experts." in name:
        return "experts"
    return "dense"


def shape_of_table(model: str) -> Shape | None:
    """The shape of a model of the table, by the last part of its name; None where unknown."""
    repo_name = model.rstrip("/").rpartition("/")[2].lower()
    entries = {entry["id"]: entry for entry in load("models.json")["models"]}
    for entry in entries.values():
        names = [repo.rpartition("/")[2].lower() for repo in entry["repos"]]
        if repo_name in names or repo_name == entry["id"].lower():
            merged_entry = {**entries.get(entry.get("same_shape_as", ""), {}), **entry}
            # PaddleOCR-VL: the table has its recommended flags only.
            return _from_entry(merged_entry) if "layers" in merged_entry else None
    return None


def _from_entry(entry: Mapping[str, Any]) -> Shape:
    hidden, layers, head = entry["hidden"], entry["layers"], entry["head_dim"]
    heads, kv_heads = entry["heads"], entry["kv_heads"]
    vocab = entry.get("vocab", 103424)
    embedding = vocab * hidden * (1 if entry.get("tied_embeddings") else 2)
    attention = layers * hidden * head * (2 * heads + 2 * kv_heads)
    total = int(entry["params_total"])
    vision = 0
    experts = 0
    if entry.get("experts") and "moe_intermediate" not in entry:
        # The table does not itemise it: in these sizes nearly all else are experts.
        experts = total - attention - embedding
    elif entry.get("experts"):
        inner = entry["moe_intermediate"]
        text_inner = inner[0] if isinstance(inner, list) else inner
        sparse = layers - int(entry.get("first_dense_layers", 1))
        experts = sparse * _count(entry["experts"]) * 3 * hidden * text_inner
        if isinstance(inner, list):
            vision_experts = sparse * _count(entry["experts"]) * 3 * hidden * inner[1]
            experts += vision_experts
        if entry["kind"].startswith("vision"):
            # The vision tower and what else the table does not itemise.
            vision = max(0, total - experts - attention - embedding)
    dense = max(attention, total - experts - embedding - vision)
    counts = {"experts": experts, "dense": dense, "embedding": embedding, "vision": vision}
    size = total * 2
    return Shape(
        name=entry["id"],
        parameters={k: v for k, v in counts.items() if v},
        layers=layers, heads=heads, kv_heads=kv_heads, head_dim=head, hidden=hidden,
        vocab=vocab, context=entry["context"], checkpoint=size,
        largest_file=min(size, 5 * 1000**3),
        source="the model table (its files are not here to be measured)",
    )  # fmt: skip


def _count(experts: Any) -> int:
    """`64`, or `text 64, vision 64`: the number of one modality."""
    if isinstance(experts, int):
        return experts
    match = re.search(r"\d+", str(experts))
    return int(match.group()) if match else 0
