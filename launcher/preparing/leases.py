"""Ports: leased host-wide while an instance lives, so that two `auto`s never meet.

A lease is an flock on a file in a sticky folder that all users share; it is handed to the keeper
and ends with it, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.engines.base import PortNeed
from launcher.errors import PreconditionError, Problem
from launcher.host.tcp import bind_error
from launcher.probe.sockets import command_line, describe_holder

FOLDER = Path("/tmp/ernie-deploy-leases")  # noqa: S108 - sticky and shared on purpose
LOWEST = 20000
"""`auto` takes ports from here up to below the kernel's ephemeral range (usually 32768)."""


@dataclass
class Leases:
    """The ports of one instance and the descriptors that hold them."""

    ports: dict[str, int] = field(default_factory=dict)
    descriptors: list[int] = field(default_factory=list)

    def release(self) -> None:
        """Give all leases back, unless a keeper has inherited them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def take(
    name: str,
    needs: Iterable[PortNeed],
    asked: Mapping[str, int | str],
    host: str,
    preferred: Mapping[str, int],
    own: Collection[int] = (),
) -> Leases:
    """Lease a number for each need: as asked, else as `preferred` (the ports it had), else free.

    `own` are ports that this very instance holds while it runs: they are shown, not leased again.

    Raises:
        PreconditionError: a port that was asked for is in use; every such port is named, with
            the program that holds it.
    """
    leases = Leases()
    problems: list[Problem] = []
    error = bind_error(host, 0)
    if error is not None:
        raise PreconditionError(_host_problem(host, error))
    needs = list(needs)
    fixed = {n.name: asked.get(n.name, n.default) for n in needs}
    try:
        for need in needs:
            number = fixed[need.name]
            if isinstance(number, int):
                problem = _take_fixed(leases, need, number, host, own)
                if problem:
                    problems.append(problem)
        if problems:
            raise PreconditionError(problems)
        for need in needs:
            had = preferred.get(need.name)
            if isinstance(fixed[need.name], int):
                continue
            if had is not None and had in own:
                leases.ports[need.name] = had
            else:
                _take_free(leases, need, host, name, had)
    except BaseException:
        leases.release()
        raise
    return leases


def _take_fixed(
    leases: Leases, need: PortNeed, number: int, host: str, own: Collection[int]
) -> Problem | None:
    where = f"ports.{need.name}"
    for port in range(number, number + need.span):
        if port in own:
            continue
        name = f"port-{port}"
        descriptor = _lock(name)
        if descriptor is None:
            return Problem(
                "port-leased",
                f"port {port} ({need.name}) is leased by {_told(_lessees(name))}", where,
                f"choose another port, or `ports: {{{need.name}: auto}}`",
            )  # fmt: skip
        leases.descriptors.append(descriptor)
        error = bind_error(need.address or host, port)
        if error is not None:
            return _why_not(error, need, port)
    if need.unique_low_byte and number not in own and not _take_low_byte(leases, number):
        return Problem(
            "queue-port-low-byte",
            f"port {number} ({need.name}) has the low byte {number & 255} of another server's"
            " queue port on this host: FastDeploy would mix up their answers",
            where, "choose a number that differs modulo 256, or `auto`",
        )  # fmt: skip
    leases.ports[need.name] = number
    return None


def take_gpu(leases: Leases, card: str) -> None:
    """Add the lease of a GPU to `leases`, if nobody holds it."""
    descriptor = _lock(f"gpu-{card}")
    if descriptor is not None:
        leases.descriptors.append(descriptor)


def holder_of_gpu(card: str, besides: Collection[int]) -> str | None:
    """Who holds the lease of a GPU, other than the processes `besides`; None where nobody does."""
    name = f"gpu-{card}"
    descriptor = _lock(name)
    if descriptor is not None:
        os.close(descriptor)
        return None
    pids = _lessees(name)
    if any(pid in besides for pid in pids):
        return None
    return _told(pids)


def _lessees(name: str) -> list[int]:
    """The processes that have the lease `name` open, as far as we may look into them."""
    path, found = str(FOLDER / name), []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        with contextlib.suppress(OSError):
            descriptors = os.listdir(f"/proc/{pid}/fd")
            if any(os.readlink(f"/proc/{pid}/fd/{one}") == path for one in descriptors):
                found.append(pid)
    return found


def _told(pids: list[int]) -> str:
    return f"pid {pids[0]} ({command_line(pids[0])})" if pids else "another user's instance"


def _why_not(error: OSError, need: PortNeed, port: int) -> Problem:
    where = f"ports.{need.name}"
    if error.errno == errno.EADDRINUSE:
        who = describe_holder(port) or "a program that cannot be looked at from here"
        return Problem(
            "port-taken", f"port {port} ({need.name}) is in use by {who}", where,
            f"end that program, or choose another port, or `ports: {{{need.name}: auto}}`",
        )  # fmt: skip
    return Problem("port-refused", f"port {port} ({need.name}): {error.strerror}", where)


def _host_problem(host: str, error: OSError) -> Problem:
    """Said now: a server would only find out when it binds, after the whole model load."""
    said = "is not an address of this machine"
    if error.errno != errno.EADDRNOTAVAIL:
        said = f"cannot be listened on: {error.strerror}"
    return Problem(
        "host-not-here", f"{host} {said}", "host",
        "`host: 127.0.0.1` serves this machine only, `host: 0.0.0.0` all its addresses",
    )  # fmt: skip


def _take_free(
    leases: Leases, need: PortNeed, host: str, instance: str, preferred: int | None
) -> None:
    top = _ephemeral_start()
    width = top - LOWEST
    # The same name gets the same ports as long as they are free: easier for firewalls and eyes.
    first = zlib.crc32(f"{instance}/{need.name}".encode()) % width
    # The stride must not divide the width, or only a part of all ports would ever be tried.
    stride = next(n for n in range(7, width + 8) if math.gcd(n, width) == 1)
    candidates = [LOWEST + (first + i * stride) % width for i in range(width)]
    if preferred is not None:
        candidates.insert(0, preferred)
    avoided = _low_bytes_in_use() if need.unique_low_byte else set()
    for number in candidates:
        if number & 255 not in avoided and _take_span(leases, need, number, host, top):
            leases.ports[need.name] = number
            return
    raise PreconditionError.of(
        "no-free-port", f"no free port for {need.name} between {LOWEST} and {top}"
    )


def _low_bytes_in_use() -> set[int]:
    """Low bytes that `auto` leaves alone: of servers that hold no lease of ours, and of queues.

    A System V queue that nobody uses any more would still stop the start: it is never inherited.
    The highest byte of an ftok key is the project, which is where FastDeploy puts the port.
    """
    from launcher.host import kernel, network

    used = {found.port & 255 for found in network.queue_ports()}
    return used | {queue.key >> 24 & 255 for queue in kernel.message_queues()}


def _take_span(leases: Leases, need: PortNeed, number: int, host: str, top: int) -> bool:
    if number + need.span > max(top, number + 1):
        return False
    taken: list[int] = []
    good = True
    for port in range(number, number + need.span):
        descriptor = _lock(f"port-{port}")
        if descriptor is None:
            good = False
            break
        taken.append(descriptor)
        if bind_error(need.address or host, port) is not None:
            good = False
            break
    if good and need.unique_low_byte:
        good = _take_low_byte(leases, number)
    if not good:
        for descriptor in taken:
            os.close(descriptor)
        return False
    leases.descriptors += taken
    return True


def _take_low_byte(leases: Leases, number: int) -> bool:
    descriptor = _lock(f"low-byte-{number & 255}")
    if descriptor is None:
        return False
    leases.descriptors.append(descriptor)
    return True


def _lock(name: str) -> int | None:
    """A descriptor that holds the lease `name`, or None where somebody else does."""
    try:
        with contextlib.suppress(FileExistsError):
            FOLDER.mkdir(mode=0o1777)
            FOLDER.chmod(0o1777)
        descriptor = _open(FOLDER / name)
    except OSError as error:
        raise PreconditionError.of(
            "no-lease", f"ports cannot be leased: {error.strerror}", str(error.filename),
            f"{FOLDER} must be a folder that everybody may write to, with its sticky bit",
        ) from None  # fmt: skip
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open(path: Path) -> int:
    try:
        # Without O_CREAT first: fs.protected_regular refuses O_CREAT on another user's file in
        # a sticky folder, even where it exists.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o644)
        return descriptor


def _ephemeral_start() -> int:
    from launcher.host import kernel

    low, _ = kernel.ephemeral_ports()
    return low if low > LOWEST + 1000 else 65536
