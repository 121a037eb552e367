"""What a model folder holds, from `config.json` and the headers of its safetensors files.

Only headers are read (8 bytes of length, then JSON; huggingface/safetensors, format description):
a checkpoint of 40 GB takes milliseconds.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""


class BrokenCheckpoint(ValueError):  # noqa: N818 - reads as what it is
    """A file of the checkpoint cannot be what it says it is."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint: `count` numbers of type `dtype` in `size` bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    count: int
    size: int
    file: str


@dataclass(frozen=True)
class Checkpoint:
    """A model folder; sizes in bytes."""

    folder: Path
    config: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """All weight files together."""
        return sum(self.files.values())


def header(path: Path) -> list[Tensor]:
    """The tensors of one safetensors file, whose size is checked against its header.

    Raises:
        BrokenCheckpoint: truncated, or no safetensors file.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise BrokenCheckpoint(f"{path}: {size} bytes are too few for a safetensors file")
        (length,) = struct.unpack("<Q", first)
        if length > min(LARGEST_HEADER, size - 8):
            raise BrokenCheckpoint(
                f"{path}: its header should take {length} bytes, the file has {size}"
            )
        try:
            entries = json.loads(file.read(length))
        except (ValueError, UnicodeDecodeError):
            raise BrokenCheckpoint(f"{path}: its header is not JSON") from None
    tensors, end = [], 0
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        try:
            begin, stop = entry["data_offsets"]
            shape = tuple(int(n) for n in entry["shape"])
            dtype = str(entry["dtype"])
        except (KeyError, TypeError, ValueError):
            raise BrokenCheckpoint(f"{path}: tensor {name} has no proper entry") from None
        count = 1
        for number in shape:
            count *= number
        tensors.append(Tensor(name, dtype, shape, count, stop - begin, path.name))
        end = max(end, stop)
    if 8 + length + end != size:
        raise BrokenCheckpoint(
            f"{path}: has {size} bytes, its header describes {8 + length + end}: truncated or"
            " still being copied"
        )
    return tensors


def read(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`: configuration and every tensor's header.

    Raises:
        BrokenCheckpoint: a file is missing, truncated or not what it says.
        OSError: a file cannot be read.
    """
    config_path = folder / "config.json"
    if not config_path.is_file():
        raise BrokenCheckpoint(f"{folder} has no config.json")
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenCheckpoint(f"{config_path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise BrokenCheckpoint(f"{config_path} is not an object")
    index = next(iter(sorted(folder.glob("*.safetensors.index.json"))), None)
    if index is not None:
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (ValueError, KeyError, AttributeError):
            raise BrokenCheckpoint(f"{index} is not an index of weights") from None
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise BrokenCheckpoint(
                f"{folder} lacks {len(missing)} of {len(names)} weight files: {', '.join(missing)}"
            )
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors"))
        if not names:
            raise BrokenCheckpoint(f"{folder} has no safetensors file")
    tensors = [tensor for name in names for tensor in header(folder / name)]
    files = {name: (folder / name).stat().st_size for name in names}
    return Checkpoint(folder, config, tuple(tensors), files)
