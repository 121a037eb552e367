"""Ports: leased host-wide while an instance lives, so that two `auto`s never meet.

A lease is an flock on a file in the user's own folders (see `lease_folder`); it is handed to the
keeper and ends with it, however it ends. Of other users only the kernel is asked: what listens,
what can be bound, which queues exist. Whatever else they can write is at most a hint.
"""

from __future__ import annotations

import math
import os
import random
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from launcher.engines.base import PortNeed
from launcher.errors import PreconditionError, Problem
from launcher.files import try_lock
from launcher.host import processes
from launcher.host.sockets import bind_error
from launcher.preparation import lease_folder, stale_sockets
from launcher.preparation.port_problems import (
    describe_processes,
    down_hint,
    host_problem,
    lessees,
    refusal,
)

LOWEST = 20000
"""`auto` takes ports from here up to below the kernel's ephemeral range (usually 32768)."""


@dataclass
class Leases:
    """The ports of one instance and the descriptors that hold them."""

    ports: dict[str, int] = field(default_factory=dict)
    descriptors: list[int] = field(default_factory=list)

    def release(self) -> None:
        """Give all leases back, unless a keeper has inherited them."""
        _close(self.descriptors)
        self.descriptors.clear()


def take(
    name: str,
    needs: Iterable[PortNeed],
    requested: Mapping[str, int | str],
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
        raise PreconditionError(host_problem(host, error))
    needs = list(needs)
    fixed = {n.name: requested.get(n.name, n.default) for n in needs}
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
        lock = _lock(name)
        if lock is None:
            pids = lessees(name)
            return Problem(
                "port-leased",
                f"port {port} ({need.name}) is leased by {describe_processes(pids)}", where,
                f"{down_hint(pids)}choose another port, or `ports: {{{need.name}: auto}}`",
            )  # fmt: skip
        leases.descriptors += lock
        error = bind_error(need.address or host, port)
        if error is not None:
            return refusal(error, need, port)
        if need.socket is not None:
            problem = stale_sockets.clear(need.socket.format(port=port), port, where)
            if problem is not None:
                return problem
    clash = _take_low_bytes(leases, need, number, own)
    if clash is not None:
        return Problem(
            "queue-port-low-byte",
            f"port {clash} ({need.name}) has the low byte {clash & 255} of the queue port of"
            f" {describe_processes(lessees(_low_byte(clash)))}:"
            " FastDeploy would mix up their answers",
            where, "choose a number that differs modulo 256, or `auto`",
        )  # fmt: skip
    leases.ports[need.name] = number
    return None


def take_gpu(leases: Leases, card: str) -> None:
    """Add the lease of a GPU to `leases`, if it is free."""
    leases.descriptors += _lock(f"gpu-{card}") or ()


def holder_of_gpu(card: str, besides: Collection[int]) -> str | None:
    """Who holds the lease of a GPU, other than the processes `besides`; None where it is free."""
    name = f"gpu-{card}"
    lock = _lock(name)
    if lock is not None:
        _close(lock)
        return None
    pids = lessees(name)
    if any(pid in besides for pid in pids):
        return None
    return describe_processes(pids)


def _take_free(
    leases: Leases, need: PortNeed, host: str, instance: str, preferred: int | None
) -> None:
    top = _ephemeral_start()
    unusable, doubtful = _low_bits_in_use(need.key_bits)
    mask = (1 << need.key_bits) - 1
    blocked = _blocked()
    later = []
    # As it is written, whatever it means: a lease needs no state folder, which may not be known.
    folder = os.environ.get("ERNIE_DEPLOY_HOME") or os.environ.get("XDG_STATE_HOME", "")
    for number in _candidates(f"{os.geteuid()}{folder}/{instance}/{need.name}", preferred, top):
        # Each number of the span names a queue of its own: 2.0 and 2.1 have one for each rank.
        keys = {port & mask for port in range(number, number + need.span)}
        if not keys.isdisjoint(unusable):
            continue
        if not keys.isdisjoint(doubtful) or number in blocked:
            later.append(number)
        elif _take_span(leases, need, number, host, top):
            leases.ports[need.name] = number
            return
    for number in sorted(later, key=blocked.__contains__):
        if _take_span(leases, need, number, host, top):
            leases.ports[need.name] = number
            return
    raise PreconditionError.of(
        "no-free-port", f"no free port for {need.name} between {LOWEST} and {top}"
    )


def _candidates(name: str, preferred: int | None, top: int) -> Iterator[int]:
    """Every port of the range once: the preferred one, the name's own, the rest in no order.

    The same name below the same state folder gets the same port while it is free: easier for
    firewalls and eyes. No further one can be foretold and taken beforehand.
    """
    width = top - LOWEST
    first = LOWEST + zlib.crc32(name.encode()) % width
    early = [first] if preferred is None else [preferred, first]
    yield from dict.fromkeys(early)
    draw = random.SystemRandom()
    start = draw.randrange(width)
    stride = draw.randrange(1, width)
    # A stride that divides the range would visit a part of it only.
    while math.gcd(stride, width) != 1:
        stride = draw.randrange(1, width)
    for i in range(width):
        number = LOWEST + (start + i * stride) % width
        if number not in early:
            yield number


def _low_bits_in_use(bits: int) -> tuple[set[int], set[int]]:
    """Low bits of ports that `auto` does not take, and those that it takes only as a last choice.

    A System V queue that has no user would still stop the start: it is never inherited.
    Where FastDeploy puts the port: `launcher.host.kernel.ftok`.
    Command lines and names below /dev/shm can be made up by any user of the machine, all 256 low
    bytes, so they only come last.
    """
    if not bits:
        return set(), set()
    from launcher.host import kernel, network

    mask = (1 << bits) - 1
    hinted = {one.port & mask for one in network.queue_ports()}
    return {kernel.project_of(queue.key, bits) for queue in kernel.message_queues()}, hinted


def _blocked() -> set[int]:
    from launcher.host import network

    return network.blocked_ports()


def _take_span(leases: Leases, need: PortNeed, number: int, host: str, top: int) -> bool:
    if number + need.span > max(top, number + 1):
        return False
    taken: list[int] = []
    is_free = True
    for port in range(number, number + need.span):
        lock = _lock(f"port-{port}", strict=True)
        if lock is None:
            is_free = False
            break
        taken += lock
        if bind_error(need.address or host, port) is not None:
            is_free = False
            break
        path = need.socket.format(port=port) if need.socket is not None else None
        if path is not None and stale_sockets.clear(path, port, f"ports.{need.name}") is not None:
            is_free = False
            break
    if not is_free or _take_low_bytes(leases, need, number) is not None:
        _close(taken)
        return False
    leases.descriptors += taken
    return True


def _low_byte(number: int) -> str:
    return f"low-byte-{number & 255}"


def _take_low_bytes(
    leases: Leases, need: PortNeed, first: int, own: Collection[int] = ()
) -> int | None:
    """Lease the low byte of each number where it must be unique; the first one that is leased.

    None where all of them are ours now; otherwise none of them is.
    """
    taken: list[int] = []
    for number in range(first, first + need.span) if need.unique_low_byte else ():
        if number in own:
            continue
        lock = _lock(_low_byte(number))
        if lock is None:
            _close(taken)
            return number
        taken += lock
    leases.descriptors += taken
    return None


def _lock(name: str, *, strict: bool = False) -> tuple[int, ...] | None:
    """Descriptors that hold the lease `name` in every folder, or None where another process does.

    Without a folder, or where it is full or read-only, the tuple is empty: the bind probe decides
    alone then. `strict`: None as well where something odd lies in the lease's place everywhere.
    """
    descriptors: list[int] = []
    odd = False
    with lease_folder.open_all() as folders:
        for folder in folders:
            try:
                descriptor = lease_folder.open_file(folder, name)
            except OSError as error:
                odd = odd or isinstance(error, lease_folder.UnsafeError)
                continue
            try:
                is_ours = try_lock(descriptor)
            except OSError:  # a file system without locks
                os.close(descriptor)
                continue
            if not is_ours:
                _close((*descriptors, descriptor))
                return None
            descriptors.append(descriptor)
    return None if strict and odd and not descriptors else tuple(descriptors)


def lost(descriptors: Iterable[int]) -> list[str]:
    """The names of the leases among `descriptors` whose files were removed: they have no effect.

    A lease is locked in every folder; one file that is left is enough.
    """
    links: dict[str, int] = {}
    for descriptor in descriptors:
        try:
            path = os.readlink(processes.own_descriptor(descriptor)).removesuffix(" (deleted)")
            count = os.fstat(descriptor).st_nlink
        except OSError:
            continue
        name = os.path.basename(path)
        links[name] = links.get(name, 0) + count
    return [name for name, count in links.items() if not count]


def lock_again(name: str) -> tuple[int, ...] | None:
    """New descriptors that hold the lost lease `name`; None where another process has it by now."""
    return _lock(name)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _ephemeral_start() -> int:
    from launcher.host import kernel

    low, _ = kernel.ephemeral_ports()
    return low if low > LOWEST + 1000 else 65536
