"""Safetensors headers: what a checkpoint holds, and how a broken one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.engines.fastdeploy import memory as fastdeploy
from launcher.host import weights
from launcher.preparation.memory import shape_of_files
from tests.support.checkpoints import write_checkpoint, write_shard


def test_a_21b_checkpoint_of_headers_only_has_the_shape_of_the_model_table(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "ERNIE-4.5-21B-A3B")
    measured = shape_of_files(weights.read(tmp_path), fastdeploy.category)
    table = fastdeploy.shape_of_table("ERNIE-4.5-21B-A3B")
    assert table is not None
    total = sum(measured.parameters.values())
    assert total == pytest.approx(sum(table.parameters.values()), rel=0.005)
    assert measured.parameters["experts"] == table.parameters["experts"]
    assert (measured.layers, measured.kv_heads, measured.context) == (28, 4, 131072)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
        (lambda f: (f / "model.safetensors").unlink(), "has no safetensors file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), "3 bytes are too few"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "its header should take"),
        (lambda f: _cut(f / "model.safetensors"), "truncated or still being copied"),
    ],
)
def test_a_broken_checkpoint_is_named(tmp_path: Path, spoil: object, expected: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    write_shard(tmp_path / "model.safetensors", [("a", "F32", (4, 4))])
    assert weights.read(tmp_path).size == (tmp_path / "model.safetensors").stat().st_size
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(weights.BrokenCheckpoint, match=expected):
        weights.read(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "ERNIE-4.5-21B-A3B")
    (tmp_path / "model-00002-of-00009.safetensors").unlink()
    with pytest.raises(weights.BrokenCheckpoint, match="lacks 1 of 9 weight files: model-00002"):
        weights.read(tmp_path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])
