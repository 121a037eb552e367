"""Safetensors headers: what a checkpoint holds, and how a broken one is told."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from launcher.engines.fastdeploy import memory as fastdeploy
from launcher.host import weights
from launcher.preparing.memory import shape_of_files


def safetensors(path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A file with these tensors and no data worth disk space: it is sparse."""
    entries, offset = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = int(weights.BYTES[dtype])
        for number in shape:
            size *= number
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + offset)


def ernie_21b(folder: Path) -> None:
    """ERNIE-4.5-21B-A3B with its real shapes (63 of 64 experts as one tensor each) and no data."""
    hidden, vocab, inner = 2560, 103424, 1536
    tensors: dict[str, tuple[str, list[int]]] = {
        "model.embed_tokens.weight": ("BF16", [vocab, hidden]),
        "model.norm.weight": ("BF16", [hidden]),
    }
    for layer in range(28):
        base = f"model.layers.{layer}"
        tensors[f"{base}.self_attn.q_proj.weight"] = ("BF16", [20 * 128, hidden])
        tensors[f"{base}.self_attn.k_proj.weight"] = ("BF16", [4 * 128, hidden])
        tensors[f"{base}.self_attn.v_proj.weight"] = ("BF16", [4 * 128, hidden])
        tensors[f"{base}.self_attn.o_proj.weight"] = ("BF16", [hidden, 20 * 128])
        tensors[f"{base}.input_layernorm.weight"] = ("BF16", [hidden])
        experts = 64 if layer else 0
        for expert in range(experts):
            for name in ("gate_proj", "up_proj", "down_proj"):
                key = f"{base}.mlp.experts.{expert}.{name}.weight"
                tensors[key] = ("BF16", [inner, hidden])
        if layer:
            tensors[f"{base}.mlp.gate.weight"] = ("F32", [64, hidden])
            for name in ("gate_proj", "up_proj", "down_proj"):
                tensors[f"{base}.mlp.shared_experts.{name}.weight"] = ("BF16", [2 * inner, hidden])
        else:
            for name in ("gate_proj", "up_proj", "down_proj"):
                tensors[f"{base}.mlp.{name}.weight"] = ("BF16", [12288, hidden])
    config = {
        "architectures": ["Ernie4_5_MoeForCausalLM"], "num_hidden_layers": 28,
        "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128,
        "hidden_size": hidden, "vocab_size": vocab, "max_position_embeddings": 131072,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    names = list(tensors)
    half = len(names) // 2
    index = {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        safetensors(folder / file, {name: tensors[name] for name in part})
        index.update(dict.fromkeys(part, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def test_a_21b_checkpoint_of_headers_only_has_the_shape_of_the_model_table(tmp_path: Path) -> None:
    ernie_21b(tmp_path)
    measured = shape_of_files(weights.read(tmp_path), fastdeploy.category)
    table = fastdeploy.shape_of_table("ERNIE-4.5-21B-A3B")
    assert table is not None
    total = sum(measured.parameters.values())
    assert total == pytest.approx(sum(table.parameters.values()), rel=0.005)
    assert measured.parameters["experts"] == table.parameters["experts"]
    assert (measured.layers, measured.kv_heads, measured.context) == (28, 4, 131072)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
        (lambda f: (f / "model.safetensors").unlink(), "has no safetensors file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), "3 bytes are too few"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "its header should take"),
        (lambda f: _cut(f / "model.safetensors"), "truncated or still being copied"),
    ],
)
def test_a_broken_checkpoint_is_named(tmp_path: Path, spoil: object, said: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    safetensors(tmp_path / "model.safetensors", {"a": ("F32", [4, 4])})
    assert weights.read(tmp_path).size == (tmp_path / "model.safetensors").stat().st_size
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(weights.BrokenCheckpoint, match=said):
        weights.read(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    ernie_21b(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(weights.BrokenCheckpoint, match="lacks 1 of 2 weight files: model-00002"):
        weights.read(tmp_path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])
