"""Ports are leased host-wide: two `auto`s never meet, and a holder is named."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from launcher.engines.base import PortNeed
from launcher.errors import PreconditionError
from launcher.host import kernel, network
from launcher.host.kernel import MessageQueue
from launcher.host.network import QueuePort
from launcher.preparation import leases
from launcher.preparation.leases import Leases
from tests.support import ROOT, ports

API = PortNeed("api")
QUEUE = PortNeed("queue", key_bits=8)


@pytest.fixture
def taken() -> Iterator[list[Leases]]:
    """Leases that are given back at the end."""
    all_leases: list[Leases] = []
    yield all_leases
    for one in all_leases:
        one.release()


def take(
    taken: list[Leases], *needs: PortNeed, name: str = "edt-one", **requested: int | str
) -> Mapping[str, int]:
    new_leases = leases.take(name, needs, requested, "127.0.0.1", {})
    taken.append(new_leases)
    return new_leases.ports


def refusal(
    *needs: PortNeed, host: str = "127.0.0.1", **requested: int | str
) -> list[tuple[str, str]]:
    with pytest.raises(PreconditionError) as caught:
        leases.take("edt-two", needs, requested, host, {}).release()
    return [(p.code, p.message) for p in caught.value.problems]


def test_two_autos_of_one_name_never_meet(taken: list[Leases]) -> None:
    numbers = [take(taken, API)["api"] for _ in range(5)]
    assert len(set(numbers)) == 5
    assert all(number >= leases.LOWEST for number in numbers)
    assert all(number < ports.ephemeral_start() for number in numbers)


def test_a_name_gets_its_port_again(taken: list[Leases]) -> None:
    first = leases.take("edt-again", [API], {}, "127.0.0.1", {})
    first.release()
    assert take(taken, API, name="edt-again") == first.ports


def test_what_it_had_before_is_preferred(taken: list[Leases], free_port: int) -> None:
    leased = leases.take("edt-one", [API], {}, "127.0.0.1", {"api": free_port})
    taken.append(leased)
    assert leased.ports == {"api": free_port}


def test_an_earlier_port_is_kept_among_those_of_the_kernel_but_no_span_begins_there(
    taken: list[Leases],
) -> None:
    """Clients get ports there at any time: one that was chosen once may stay, none is added."""
    high, host = ports.ephemeral_start() + 77, "127.77.0.1"
    for span in (1, 2):
        had = {"api": high + 10 * (span - 1)}
        taken.append(leases.take("edt-high", [PortNeed("api", span=span)], {}, host, had))
    one, two = (leased.ports["api"] for leased in taken)
    assert one == high
    assert leases.LOWEST <= two <= ports.ephemeral_start() - 2


def test_a_second_release_closes_nothing_of_others(free_port: int) -> None:
    leased = leases.take("edt-one", [API], {"api": free_port}, "127.0.0.1", {})
    number = leased.descriptors[0]
    leased.release()
    with open(os.devnull) as second:
        os.dup2(second.fileno(), number)
        leased.release()
        assert os.path.sameopenfile(second.fileno(), number)
        os.close(number)


TAKE = """
import json, sys
from launcher.engines.base import PortNeed
from launcher.preparation import leases
needs = [PortNeed("api"), PortNeed("queue", key_bits=8)]
print(json.dumps(leases.take("edt-same", needs, {}, "127.0.0.1", {}).ports), flush=True)
sys.stdin.read()
"""


def test_processes_that_ask_at_once_get_different_ports() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [subprocess.Popen([sys.executable, "-c", TAKE], env=env, **pipes) for _ in range(6)]  # type: ignore[call-overload]
    try:
        answers = [json.loads(process.stdout.readline()) for process in running]
    finally:
        for process in running:
            process.communicate(b"")
    numbers = [number for answer in answers for number in answer.values()]
    assert len(set(numbers)) == 12
    assert len({answer["queue"] & 255 for answer in answers}) == 6


def test_a_lease_ends_with_its_process(free_port: int, taken: list[Leases]) -> None:
    code = TAKE.replace("{}, ", f"{{'api': {free_port}}}, ", 1)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    ((code, message),) = refusal(API, api=free_port)
    assert code == "port-leased"
    assert f"leased by pid {process.pid} (" in message
    process.kill()
    process.communicate()
    assert take(taken, API, api=free_port) == {"api": free_port}


def test_who_holds_a_fixed_port_is_named(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        ((code, message),) = refusal(API, api=free_port)
    assert code == "port-taken"
    assert f"pid {os.getpid()}" in message


def test_what_lies_in_the_place_of_a_fixed_ports_socket_is_named(
    free_port: int, tmp_path: Path
) -> None:
    (tmp_path / f"{free_port}.socket").write_text("precious")
    need = PortNeed("queue", socket=str(tmp_path / "{port}.socket"))
    ((code, message),) = refusal(need, queue=free_port)
    assert code == "socket-left"
    assert f"{free_port}.socket is in the way" in message


def test_every_port_that_cannot_be_had_is_named() -> None:
    numbers = [ports.free_port(), ports.free_port()]
    with (
        socket.create_server(("127.0.0.1", numbers[0])),
        socket.create_server(("127.0.0.1", numbers[1])),
    ):
        messages = refusal(API, PortNeed("metrics"), api=numbers[0], metrics=numbers[1])
    assert [code for code, _ in messages] == ["port-taken", "port-taken"]
    assert str(numbers[1]) in messages[1][1]


def test_an_address_that_is_not_ours(free_port: int) -> None:
    ((code, message),) = refusal(API, host="192.0.2.1", api=free_port)
    assert code == "host-not-local"
    assert "192.0.2.1" in message


def test_the_address_is_tried_with_no_port_that_may_be_in_use(taken: list[Leases]) -> None:
    """Only root can bind port 1; for other users each other test shows it."""
    with socket.socket() as server:
        with contextlib.suppress(PermissionError):
            server.bind(("127.77.0.2", 1))
        taken.append(leases.take("edt-one", [API], {}, "127.77.0.2", {}))
    assert taken[0].ports["api"] >= leases.LOWEST


def test_a_refusal_gives_everything_back(taken: list[Leases], free_port: int) -> None:
    second = ports.free_port()
    with socket.create_server(("127.0.0.1", free_port)):
        refusal(API, PortNeed("metrics"), api=free_port, metrics=second)
    assert take(taken, PortNeed("metrics"), metrics=second) == {"metrics": second}


def test_the_low_byte_of_a_queue_port_is_nobody_elses(taken: list[Leases]) -> None:
    number = take(taken, QUEUE)["queue"]
    conflicting = next(
        n for n in range(number % 256 + 20224, 32000, 256) if n != number and ports.is_free(n)
    )
    assert [code for code, _ in refusal(QUEUE, queue=conflicting)] == ["queue-port-low-byte"]


def test_each_number_of_a_queues_span_has_a_low_byte_of_its_own(
    taken: list[Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastDeploy 2.0 and 2.1 name a queue by each further number: one for each rank."""
    need = PortNeed("queue", key_bits=8, span=2)
    number = take(taken, need)["queue"]
    conflicting = next(
        n for n in range((number + 1) % 256 + 20224, 32000, 256)
        if n != number + 1 and ports.is_free(n)
    )  # fmt: skip
    assert [code for code, _ in refusal(QUEUE, queue=conflicting)] == ["queue-port-low-byte"]
    pairs = [byte for byte in range(256) if byte not in (0x5A, 0x5B)]
    stale = tuple(MessageQueue(byte << 24, byte, 0, 0, 0, 0, 0) for byte in pairs)
    monkeypatch.setattr(kernel, "message_queues", lambda: stale)
    monkeypatch.setattr(network, "queue_ports", lambda: ())
    assert take(taken, need)["queue"] & 255 == 0x5A


def test_a_span_is_leased_whole(taken: list[Leases]) -> None:
    span = PortNeed("queue", span=4)
    number = take(taken, span)["queue"]
    for port in range(number, number + 4):
        assert [code for code, _ in refusal(API, api=port)] == ["port-leased"]


def test_another_address_of_the_engine_counts(free_port: int) -> None:
    """A queue listens on every address whatever the profile's host is."""
    with socket.create_server(("127.0.0.2", free_port)):
        messages = refusal(PortNeed("queue", address="0.0.0.0"), queue=free_port)
    assert [code for code, _ in messages] == ["port-taken"]


def test_every_free_port_is_tried(taken: list[Leases], monkeypatch: pytest.MonkeyPatch) -> None:
    """A stride that divides the range would visit a part of it only."""
    numbers: list[int] = []

    def none(leases: Leases, need: PortNeed, number: int, *more: object) -> bool:
        numbers.append(number)
        return False

    monkeypatch.setattr(leases, "_take_span", none)
    assert [code for code, _ in refusal(API)] == ["no-free-port"]
    assert len(set(numbers)) == len(numbers) > 10_000


def test_names_that_any_user_can_make_up_block_nothing(
    taken: list[Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command lines and names below /dev/shm come in all 256 low bytes if a user likes."""
    free = 77
    hints = tuple(QueuePort(20480 + 256 + byte, None, "made up") for byte in range(256))
    monkeypatch.setattr(
        network, "queue_ports", lambda: tuple(q for q in hints if q.port & 255 != free)
    )
    assert take(taken, QUEUE)["queue"] & 255 == free, "one that is not hinted at comes first"
    monkeypatch.setattr(network, "queue_ports", lambda: hints)
    assert take(taken, QUEUE, name="edt-two")["queue"] >= leases.LOWEST


def test_a_port_whose_name_another_user_has_comes_last(
    taken: list[Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastDeploy could not make `/dev/shm/PORT.socket`."""
    first = take(taken, API, name="edt-blocked")["api"]
    taken.pop().release()
    monkeypatch.setattr(network, "blocked_ports", lambda: {first})
    assert take(taken, API, name="edt-blocked")["api"] != first
    monkeypatch.setattr(network, "blocked_ports", lambda: set(range(1024, 65536)))
    assert take(taken, API, name="edt-blocked")["api"] >= leases.LOWEST


def test_users_with_one_profile_start_at_different_ports(
    taken: list[Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their leases do not see each other, and some ports are bound only after the load."""
    monkeypatch.setattr(leases, "_lock", lambda name, **_: ())
    first = []
    for uid in range(5000, 5008):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        first.append(take(taken, API)["api"])
    assert len(set(first)) == 8


def test_the_order_of_the_candidates_cannot_be_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[int]] = []

    def none(leases: Leases, need: PortNeed, number: int, *more: object) -> bool:
        orders[-1].append(number)
        return False

    monkeypatch.setattr(leases, "_take_span", none)
    for _ in range(2):
        orders.append([])
        refusal(API)
    assert orders[0][0] == orders[1][0], "the name's own port comes first"
    assert orders[0][1:50] != orders[1][1:50]
    assert set(orders[0]) == set(orders[1])


@pytest.mark.parametrize("other_bytes", [0x000000, 0xFFFFFF, 0x00A5C3, 0xC3A500])
def test_a_queue_takes_the_low_byte_that_its_key_has_at_the_top(
    other_bytes: int, taken: list[Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ftok(path, port): the port's low byte, the device's, then two bytes of the inode."""
    free = 0x5A
    queues = tuple(
        MessageQueue((byte << 24) | other_bytes, byte, 0, 0, 0, 0, 0)
        for byte in range(256)
        if byte != free
    )
    monkeypatch.setattr(kernel, "message_queues", lambda: queues)
    monkeypatch.setattr(network, "queue_ports", lambda: ())
    assert take(taken, QUEUE)["queue"] & 255 == free


def test_a_queue_whose_key_holds_20_bits_does_not_take_the_port_of_a_dead_servers_queue(
    taken: list[Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastDeploy 2.5 and later: a queue of an equal port would stop the start."""
    monkeypatch.setattr(kernel, "message_queues", tuple)
    monkeypatch.setattr(network, "queue_ports", lambda: ())
    need, own = PortNeed("queue", key_bits=20), f"edt-{os.getpid()}"
    usual = take(taken, need, name=own)["queue"]
    taken.pop().release()
    assert take(taken, need, name=own)["queue"] == usual
    taken.pop().release()

    stale = MessageQueue(0xB0100000 | usual, 1, 0, 0, 0, 0, 0)
    low_byte = MessageQueue((usual & 255) << 24, 2, 0, 0, 0, 0, 0)
    monkeypatch.setattr(kernel, "message_queues", lambda: (low_byte,))
    assert take(taken, need, name=own)["queue"] == usual, "only an equal port clashes"
    taken.pop().release()
    monkeypatch.setattr(kernel, "message_queues", lambda: (stale,))
    assert take(taken, need, name=own)["queue"] != usual
