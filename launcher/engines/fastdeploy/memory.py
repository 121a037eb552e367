"""FastDeploy's side of the memory plan: its costs, and the shape of the models it serves."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from launcher.engines.base import Release
from launcher.engines.fastdeploy.catalogue import catalogue_key, table
from launcher.engines.fastdeploy.release_data import LINES, load
from launcher.engines.fastdeploy.requested import (
    Requested,
    batched_tokens,
    most_sequences,
    v1_scheduler,
)
from launcher.json_values import (
    JsonObject,
    JsonValue,
    at,
    integer_at,
    is_list,
    list_at,
    number_at,
    object_at,
    text_at,
    texts_at,
)
from launcher.plan.memory import Ask, Costs, Shape
from launcher.profile.model import Profile

MIB = 1024**2


@functools.lru_cache(maxsize=1)
def costs() -> Costs:
    """What FastDeploy adds, from `data/memory.json`, which names the sources."""
    data = load("memory.json")
    weight_bytes = object_at(data, "weight_bytes")
    return Costs(
        weight_bytes={method: _numbers(weight_bytes, method) for method in weight_bytes},
        replicated=texts_at(data, "replicated"),
        context=_integer(data, "context_mib") * MIB,
        graphs=_integer(data, "graphs_mib") * MIB,
        per_rank_communication=_integer(data, "communication_mib") * MIB,
        activation_factor=_integer(data, "activation_factor"),
        spare_blocks=_integer(data, "spare_blocks"),
        most_blocks=_integer(data, "most_blocks"),
        host_base=_integer(data, "host_base_mib") * MIB,
    )


def _numbers(data: JsonObject, key: str) -> Mapping[str, float]:
    return {name: number_at(data, key, name) or 0 for name in object_at(data, key)}


def _integer(data: JsonObject, key: str) -> int:
    """A number of our own data files, which has to be there."""
    value = data[key]
    if not isinstance(value, int):
        raise TypeError(f"{key} is {value!r}, not a whole number")
    return value


def reported_blocks(lines: Iterable[str]) -> int | None:
    """The number of KV blocks the engine says it has, the first pattern that is found winning."""
    patterns = [re.compile(p) for p in texts_at(load("memory.json"), "reported")]
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
        limits_blocks=line != "2.0",
        # fastdeploy/config.py, ParallelConfig: all ranks of all replicas share the experts.
        expert_parallel=requested.tensor_parallel * requested.data_parallel
        if requested.value("enable-expert-parallel")
        else 1,
        most_sequences=most_sequences(line),
        replicas=max(1, requested.data_parallel // requested.nodes),
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
    data = object_at(load("memory.json"), "kv_bytes")
    kv = {name: _integer(data, name) for name in data}
    value, settings = requested.value("quantization"), requested.mapping("quantization")
    if settings is None:
        method = None if value is None else str(value)
        return method, kv.get(method or "*", kv["*"])
    method = str(settings.get("quantization") or value)
    if settings.get("kv_cache_quant_type"):
        return method, kv["kvcache"]
    return method, kv.get(method or "*", kv["*"])


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
    models = [object_at(entry) for entry in list_at(load("models.json"), "models")]
    entries = {text_at(entry, "id"): entry for entry in models}
    for entry in entries.values():
        names = [repo.rpartition("/")[2].lower() for repo in texts_at(entry, "repos")]
        if repo_name in names or repo_name == text_at(entry, "id").lower():
            merged_entry = {**entries.get(text_at(entry, "same_shape_as"), {}), **entry}
            # PaddleOCR-VL: the table has its recommended flags only.
            return _from_entry(merged_entry) if "layers" in merged_entry else None
    return None


def _from_entry(entry: JsonObject) -> Shape:
    hidden, layers, head, heads, kv_heads = (
        _integer(entry, key) for key in ("hidden", "layers", "head_dim", "heads", "kv_heads")
    )
    vocab = integer_at(entry, "vocab") or 103424
    embedding = vocab * hidden * (1 if entry.get("tied_embeddings") else 2)
    attention = layers * hidden * head * (2 * heads + 2 * kv_heads)
    total = _integer(entry, "params_total")
    vision = 0
    experts = 0
    if entry.get("experts") and "moe_intermediate" not in entry:
        # The table does not itemise it: in these sizes nearly all else are experts.
        experts = total - attention - embedding
    elif entry.get("experts"):
        inner = at(entry, "moe_intermediate")
        # A list has the widths of the text's experts and of the images'.
        widths = [w for w in (inner if is_list(inner) else [inner]) if isinstance(w, int)]
        sparse = layers - _first_dense(entry)
        experts = sparse * _count(entry["experts"]) * 3 * hidden * sum(widths)
        if text_at(entry, "kind").startswith("vision"):
            # The vision tower and what else the table does not itemise.
            vision = max(0, total - experts - attention - embedding)
    dense = max(attention, total - experts - embedding - vision)
    counts = {"experts": experts, "dense": dense, "embedding": embedding, "vision": vision}
    size = total * 2
    return Shape(
        name=text_at(entry, "id"),
        parameters={k: v for k, v in counts.items() if v},
        layers=layers, heads=heads, kv_heads=kv_heads, head_dim=head, hidden=hidden,
        vocab=vocab, context=_integer(entry, "context"), checkpoint=size,
        largest_file=min(size, 5 * 1000**3),
        source="the model table (its files are not here to be measured)",
        rotary_width=rotary_width(text_at(entry, "id"), head, text_at(entry, "kind")),
    )  # fmt: skip


def rotary_width(name: str, head_dim: int, kind: str) -> int:
    """Numbers of the rotary table for each token of each sequence; 0 for a text model.

    `rope_emb` of the GPU model runner: [max_num_seqs, 2, 1, max_model_len, 1, width] of float32,
    where the width is half of head_dim, for PaddleOCR the whole.
    """
    if not kind.startswith("vision"):
        return 0
    return 2 * head_dim if "paddleocr" in name.lower() else head_dim


def _first_dense(entry: JsonObject) -> int:
    return _integer(entry, "first_dense_layers") if "first_dense_layers" in entry else 1


def _count(experts: JsonValue) -> int:
    """`64`, or `text 64, vision 64`: the number of one modality."""
    if isinstance(experts, int):
        return experts
    match = re.search(r"\d+", str(experts))
    return int(match.group()) if match else 0
