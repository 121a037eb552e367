"""Facts about this machine against what the kernel does, not against a copy of the code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.host import disk, kernel, memory, network, packages
from tests.support.ports import free_port
from tests.support.waiting import wait_for


def test_a_listener_is_found_with_its_owner() -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            server = socket.create_server((address, 0), family=family)
        except OSError:
            continue  # a machine without IPv6
        with server:
            port = server.getsockname()[1]
            (listener,) = network.holders([port])
            assert (listener.address, listener.port, listener.pid) == (address, port, os.getpid())
            assert f"pid {os.getpid()}" in listener.owner()
            assert network.refused(address, port) == "address already in use"
        assert network.refused(address, port) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", "203.0.113.7 is not an address of this machine"),
        ("no such name", "the name no such name cannot be resolved"),
    ],
)
def test_addresses_that_cannot_be_bound(address: str, expected: str) -> None:
    assert network.refused(address, 0) == expected
    assert network.refused("127.0.0.1", 70000) == "70000 is not a port number"


def test_queue_ports_are_read_from_command_lines_in_all_spellings() -> None:
    argv = ["--engine_worker_queue_port", "9123", "--engine-worker-queue-port=9124,9125"]
    with subprocess.Popen([sys.executable, "-c", "input()", *argv], stdin=subprocess.PIPE) as one:
        wait_for(lambda: one.pid in {p.pid for p in network.queue_ports()}, "its command line")
        mine = {p.port for p in network.queue_ports() if p.pid == one.pid}
        one.communicate(b"\n")
    assert mine == {9123, 9124, 9125}


def test_command_lines_that_are_no_numbers_harm_nobody() -> None:
    """Any user of the machine writes them: superscripts are digits to `str.isdigit`."""
    option = "--engine-worker-queue-port"
    argv = [option, "\u00b2", option, "9" * 5000, f"{option}=\u0663,,-1,9126,1e3,0x10"]
    with subprocess.Popen([sys.executable, "-c", "input()", *argv], stdin=subprocess.PIPE) as one:
        wait_for(lambda: one.pid in {p.pid for p in network.queue_ports()}, "its command line")
        mine = {p.port for p in network.queue_ports() if p.pid == one.pid}
        one.communicate(b"\n")
    assert mine == {9126}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user, so root")
def test_a_name_that_another_user_made_below_dev_shm_blocks_its_port_only() -> None:
    port = free_port()
    path = Path(f"/dev/shm/router_{port}.ipc")
    path.touch(mode=0o600)
    try:
        assert port not in network.blocked_ports(), "our own: the server replaces it"
        os.chown(path, 65533, 65533)
        assert port in network.blocked_ports()
    finally:
        path.unlink()


def test_memory_agrees_with_sysconf() -> None:
    report = memory.read()
    assert report.total == pytest.approx(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), rel=0.01
    )
    assert 0 < report.usable <= report.available <= report.total


def test_the_tightest_limit_of_a_cgroup_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    limit = memory.limit(tmp_path)
    assert (limit.value, limit.used) == (1000, 400)
    assert str(tmp_path) in limit.how
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.limit(tmp_path).value is None
    v1 = tmp_path / "other" / "memory"
    v1.mkdir(parents=True)
    (v1 / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.limit(tmp_path / "other").value is None


def test_usable_memory_stops_at_the_limit() -> None:
    limit = memory.Limit(1000, 400, "test")
    assert memory.Memory(10_000, 5_000, limit).usable == 600
    assert memory.Memory(10_000, 500, limit).usable == 500
    assert memory.Memory(10_000, 500, memory.Limit(100, 200, "test")).usable == 0


def test_ftok_is_glibcs(tmp_path: Path) -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    for project in (1, 0x1F6, 255):
        expected = libc.ftok(str(tmp_path).encode(), project) & 0xFFFFFFFF
        assert kernel.ftok(str(tmp_path), project) == expected
    assert kernel.ftok(str(tmp_path / "nothing"), 1) is None


def test_the_key_of_newer_fastdeploys_tells_ports_apart_that_are_equal_modulo_256(
    tmp_path: Path,
) -> None:
    """custom_ftok.h: 4 bits of the device, 8 of the inode, 20 of the port."""
    one, second = (kernel.ftok(str(tmp_path), port, 20) for port in (8702, 8958))
    assert one is not None
    assert one != second
    assert one & 0xFFFFF == 8702
    status = tmp_path.stat()
    assert one >> 20 == (status.st_dev & 0xF) << 8 | status.st_ino & 0xFF


def test_limits_and_sysctls() -> None:
    import resource

    assert kernel.limit("nofile")[0] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert kernel.sysctl("kernel.no-such-setting") is None
    low, high = kernel.ephemeral_ports()
    assert 1024 < low < high < 65536


def test_space_of_what_does_not_exist_yet(tmp_path: Path) -> None:
    space = disk.space(tmp_path / "a" / "b")
    assert space.path == str(tmp_path)
    assert 0 < space.free <= space.total
    assert disk.writable(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    assert disk.writable(tmp_path / "file")
    assert not disk.writable(tmp_path / "file" / "below")


def test_the_build_note_of_a_wheel(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "fastdeploy").mkdir(parents=True)
    python = str(tmp_path / "bin" / "python")
    assert packages.build_note(python) is None
    (site / "fastdeploy" / "version.txt").write_text(
        "fastdeploy GIT COMMIT ID: cba7b291\nPaddle version: 3.2.1\nPaddle GIT COMMIT ID: 00\n"
    )
    note = packages.build_note(python)
    assert note is not None
    assert note.find("paddle", "version") == "3.2.1"
    assert note.find("cuda") is None
