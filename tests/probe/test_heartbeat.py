"""The workers' heartbeat in shared memory."""

from __future__ import annotations

import os
import struct
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from launcher.probe.heartbeat import age


def test_the_oldest_rank_counts(tmp_path: Path) -> None:
    memory = SharedMemory(create=True, size=16)
    assert memory.buf is not None
    try:
        memory.buf[:16] = struct.pack("=4i", 1000, 970, 0, 999)
        assert age(f"/dev/shm/{memory.name.lstrip('/')}", 1010.5) == 40.5
        memory.buf[:16] = struct.pack("=4i", 0, 0, 0, 0)
        assert age(f"/dev/shm/{memory.name.lstrip('/')}", 1010.5) is None
    finally:
        memory.close()
        memory.unlink()


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    (tmp_path / "beat").write_bytes(struct.pack("=i", 5000))
    assert age(str(tmp_path / "beat"), 4000.0) == 0.0


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x00\x00\x00", b"\xff\xff\xff\xff"])
def test_a_file_that_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "beat").write_bytes(content)
    assert age(str(tmp_path / "beat"), 1000.0) is None


def test_what_is_no_file_of_ours_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "real").write_bytes(struct.pack("=i", 5))
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder", "missing"):
        assert age(str(tmp_path / name), 1000.0) is None


def test_a_huge_file_is_read_to_its_bound(tmp_path: Path) -> None:
    with (tmp_path / "beat").open("wb") as file:
        file.write(struct.pack("=i", 900) * 1024)
        file.truncate(1 << 40)
    assert age(str(tmp_path / "beat"), 1000.0) == 100.0
