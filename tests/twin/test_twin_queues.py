"""Q, C and the System V queue: who takes whose tokens, and what cannot be done to them."""

from __future__ import annotations

import json
import pickle
import socket
import threading
from pathlib import Path

import pytest

from tests.support.decoded import JsonDict
from tests.support.ports import is_free
from tests.twin.conftest import Start
from tests.twin.driver import (
    Ports,
    Twin,
    accepts,
    lease_ports,
    queue_key,
    wait_for,
)

OUTPUT = Path("/dev/shm/get_save_output_rank0.socket")


def test_the_key_keeps_the_low_byte() -> None:
    assert queue_key(8702) == queue_key(8958)
    assert queue_key(8702) >> 24 == 8702 & 0xFF


def test_two_servers_whose_q_agree_modulo_256_mix_their_answers(start: Start) -> None:
    with lease_ports() as first, lease_ports() as second:
        number = next(
            port
            for port in range(first.queue % 256 + 10_240, 31_000, 256)
            if port != first.queue and is_free(port, "0.0.0.0")
        )
        slow = {"TWIN_TOKENS_PER_S": "100"}
        pair = [
            start(ports=ports, environment=slow)
            for ports in (first, Ports(second.port, second.metrics, number, second.cache))
        ]
        for twin in pair:
            twin.wait_ready()
        poem = "Bright moon by my bed,\nlike frost on the floor."
        texts: dict[int, str | None] = {}

        def ask(twin: Twin) -> None:
            try:
                body: JsonDict = {"messages": [{"role": "user", "content": "Write a poem."}]}
                body["max_tokens"] = 120
                raw = twin.http("POST", "/v1/chat/completions", body, timeout_s=4)[1]
                texts[twin.ports.port] = json.loads(raw)["choices"][0]["message"]["content"]
            except (OSError, TimeoutError):
                texts[twin.ports.port] = None  # it hung: its last token went to the other one

        threads = [threading.Thread(target=ask, args=(twin,)) for twin in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(twin.health() == 200 for twin in pair)
        assert not all(text and text.startswith(poem) for text in texts.values()), texts


def test_two_servers_with_different_q_do_not(start: Start) -> None:
    pair = [start(), start()]
    for twin in pair:
        twin.wait_ready()
    for twin in pair:
        assert "Paris" in twin.says("What is the capital of France?")


class Bomb:
    """Unpickling it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_the_queues_never_unpickle(served: Twin, tmp_path: Path) -> None:
    evil = tmp_path / "unpickled"
    for port in (served.ports.queue, served.ports.cache):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            peer.settimeout(600)
            raw = pickle.dumps(Bomb(evil))
            peer.sendall(len(raw).to_bytes(4, "big") + raw)
            assert peer.recv(100) == b"", "dropped without an answer"
    assert not evil.exists()
    assert served.says("Say OK.") == "OK"


def test_q_can_be_a_unix_socket(start: Start) -> None:
    twin = start(environment={"FD_ENGINE_TASK_QUEUE_WITH_SHM": "1"}).wait_ready()
    path = Path(f"/dev/shm/fd_task_queue_{twin.ports.queue}.sock")
    assert path.is_socket()
    assert twin.listening() == {"P", "M", "C"}
    assert twin.says("Say OK.") == "OK"
    assert twin.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("release", "flags"), [("2.2", []), ("2.4", ["--no-enable-prefix-caching"])]
)
def test_without_prefix_caching_there_is_no_cache_queue(
    start: Start, release: str, flags: list[str]
) -> None:
    twin = start(*flags, release=release).wait_ready()
    assert twin.listening() == {"P", "M", "Q"}
    assert twin.stop() == 0


def test_before_2_3_q_is_always_tcp(start: Start) -> None:
    twin = start(release="2.2", environment={"FD_ENGINE_TASK_QUEUE_WITH_SHM": "1"}).wait_ready()
    assert accepts(twin.ports.queue)


@pytest.mark.xdist_group("output-socket")
def test_the_output_socket_has_no_port_in_its_name(start: Start) -> None:
    twin = start(environment={"FD_USE_GET_SAVE_OUTPUT_V1": "1"}).wait_ready()
    assert OUTPUT.is_socket()
    assert twin.says("Say OK.") == "OK"
    assert twin.stop() == 0
    assert OUTPUT.is_socket(), "it stays after a clean stop"
    OUTPUT.unlink()


def test_everything_listens_on_loopback_only(served: Twin) -> None:
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = served.ports
    numbers = {ports.port, ports.metrics, ports.queue, ports.cache}
    rows = [row[1] for row in table if row[3] == "0A" and int(row[1][9:], 16) in numbers]
    assert len(rows) == 4
    assert all(address.startswith("0100007F:") for address in rows)


def test_random_ports_if_none_are_given(start: Start) -> None:
    """2.4 leaves the choice to the kernel and does not tell it."""
    twin = start(release="2.5", bare=True, environment={}, fault="worker-hangs-in-load")
    twin.wait_said("Parameter `engine_worker_queue_port` is not specified, found available ports")
    wait_for("the load", lambda: "Loading Weights" in twin.output)
