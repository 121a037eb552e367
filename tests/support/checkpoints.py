"""Checkpoints with the published models' shapes and no data: real headers over sparse files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VOCABULARY = 103424
HEAD = 128
SHARD = 5 * 1000**3
"""Bytes of one file, as the hubs cut them."""

BYTES: Mapping[str, int] = {"F32": 4, "BF16": 2}
"""Of one number."""

Tensor = tuple[str, str, tuple[int, ...]]

SHAPES: Mapping[str, Mapping[str, object]] = {
    "ERNIE-4.5-0.3B": {
        "layers": 18, "hidden": 1024, "heads": 16, "kv": 2, "inner": 3072, "tied": True,
    },
    "ERNIE-4.5-21B-A3B": {
        "layers": 28, "hidden": 2560, "heads": 20, "kv": 4, "inner": 12288, "tied": True,
        "dense": 1, "experts": [(64, 1536)], "shared": 2 * 1536,
    },
    "ERNIE-4.5-300B-A47B": {
        "layers": 54, "hidden": 8192, "heads": 64, "kv": 8, "inner": 28672, "tied": False,
        "dense": 3, "experts": [(64, 3584)], "shared": 0,
    },
    "ERNIE-4.5-VL-28B-A3B": {
        "layers": 28, "hidden": 2560, "heads": 20, "kv": 4, "inner": 12288, "tied": True,
        "dense": 1, "experts": [(64, 1536), (64, 512)], "shared": 2 * 1536,
        "vision": (32, 1280, 5120),
    },
    "PaddleOCR-VL-0.9B": {
        # The hub counts the output layer.
        "layers": 18, "hidden": 1024, "heads": 16, "kv": 2, "inner": 3072, "tied": False,
        "vision": (27, 1152, 4304),
    },
    # The inner size of its vision experts is what the published total leaves for them.
    "ERNIE-4.5-VL-424B-A47B": {
        "layers": 54, "hidden": 8192, "heads": 64, "kv": 8, "inner": 28672, "tied": False,
        "dense": 3, "experts": [(64, 3584), (64, 1536)], "shared": 0, "vision": (32, 1280, 5120),
    },
}  # fmt: skip
"""Numbers of the models' config.json; `vision` is blocks, width and inner size of the tower."""

SAME_SHAPE = {"ERNIE-4.5-21B-A3B-Thinking": "ERNIE-4.5-21B-A3B",
        "ERNIE-4.5-VL-28B-A3B-Thinking": "ERNIE-4.5-VL-28B-A3B"}  # fmt: skip


def write_shard(path: Path, tensors: list[Tensor]) -> None:
    """A safetensors file with these tensors whose data are a hole."""
    entries, offset = {}, 0
    for name, dtype, shape in tensors:
        size = _bytes(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + offset)


def write_checkpoint(folder: Path, model: str) -> Path:
    """The checkpoint of `model` with its index and configuration."""
    shape = SHAPES[SAME_SHAPE.get(model, model)]
    shards: list[list[Tensor]] = [[]]
    filled = 0
    for tensor in tensors_of(shape):
        size = _bytes(*tensor[1:])
        if filled and filled + size > SHARD:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size
    index = {}
    for number, part in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, part)
        index.update(dict.fromkeys((name for name, _, _ in part), file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    config = {
        "num_hidden_layers": shape["layers"], "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv"], "head_dim": HEAD, "hidden_size": shape["hidden"],
        "vocab_size": VOCABULARY, "max_position_embeddings": 131072,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tensors_of(shape: Mapping[str, Any]) -> Iterator[Tensor]:
    """Every tensor: embeddings, the language model's layers, the vision tower."""
    hidden = shape["hidden"]
    yield "model.embed_tokens.weight", "BF16", (VOCABULARY, hidden)
    if not shape["tied"]:
        yield "lm_head.weight", "BF16", (VOCABULARY, hidden)
    yield "model.norm.weight", "BF16", (hidden,)
    for layer in range(shape["layers"]):
        yield from _layer(f"model.layers.{layer}", shape, dense=layer < shape.get("dense", 99))
    blocks, width, inner = shape.get("vision", (0, 0, 0))
    for block in range(blocks):
        base = f"vision_model.blocks.{block}"
        yield f"{base}.attn.qkv.weight", "BF16", (3 * width, width)
        yield f"{base}.attn.proj.weight", "BF16", (width, width)
        yield f"{base}.mlp.fc1.weight", "BF16", (inner, width)
        yield f"{base}.mlp.fc2.weight", "BF16", (width, inner)


def _layer(base: str, shape: Mapping[str, Any], *, dense: bool) -> Iterator[Tensor]:
    hidden = shape["hidden"]
    for name, heads in (("q", shape["heads"]), ("k", shape["kv"]), ("v", shape["kv"])):
        yield f"{base}.self_attn.{name}_proj.weight", "BF16", (heads * HEAD, hidden)
    yield f"{base}.self_attn.o_proj.weight", "BF16", (hidden, shape["heads"] * HEAD)
    yield f"{base}.input_layernorm.weight", "BF16", (hidden,)
    yield f"{base}.post_attention_layernorm.weight", "BF16", (hidden,)
    if dense:
        yield from _mlp(f"{base}.mlp", shape["inner"], hidden)
        return
    if shape["shared"]:
        yield from _mlp(f"{base}.mlp.shared_experts", shape["shared"], hidden)
    first = 0
    for count, inner in shape["experts"]:
        yield f"{base}.mlp.gate.weight_{first}", "F32", (count, hidden)
        for expert in range(first, first + count):
            yield from _mlp(f"{base}.mlp.experts.{expert}", inner, hidden)
        first += count


def _mlp(base: str, inner: int, hidden: int) -> Iterator[Tensor]:
    for name in ("gate_proj", "up_proj"):
        yield f"{base}.{name}.weight", "BF16", (inner, hidden)
    yield f"{base}.down_proj.weight", "BF16", (hidden, inner)


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    size = BYTES[dtype]
    for number in shape:
        size *= number
    return size
