"""Ports for tests that run beside each other, in several workers and several test runs."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

RANGE = range(10_000, 20_000)
"""Below what `auto` draws from (launcher/preparation/leases.py), so that no instance of another
test takes a port between our look and its use; also below the kernel's ephemeral ports."""
_LEASES = Path(tempfile.gettempdir()) / "ernie-deploy-test-ports"
_leased: dict[int, int] = {}


def ephemeral_start() -> int:
    """The first port the kernel gives to clients; below it no port is taken by accident."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def free_port() -> int:
    """A port without a listener, leased to this test process until it ends."""
    _LEASES.mkdir(mode=0o777, exist_ok=True)
    numbers = list(RANGE)
    random.SystemRandom().shuffle(numbers)
    for number in numbers:
        if number not in _leased and _lease(number):
            return number
    raise RuntimeError(f"no free port from {RANGE.start} to {RANGE.stop}")


def give_back(number: int) -> None:
    """End the lease of `free_port` before this process ends."""
    os.close(_leased.pop(number))


def is_free(number: int, address: str = "127.0.0.1") -> bool:
    """True where a server could bind the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError:
            return False
    return True


def _lease(number: int) -> bool:
    file = os.open(_LEASES / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    if not is_free(number, "0.0.0.0"):
        os.close(file)
        return False
    # Kept open on purpose: the lease lives as long as this process.
    _leased[number] = file
    return True
