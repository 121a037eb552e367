"""What the front door costs: latency and requests per second, against the bare replica.

Both are asked in turns in one run: single requests for the latency, then several clients at once.
A request is one chat completion of 8 KiB that is answered at once; a stream is measured to its
first chunk. Memory with open streams is printed last.
python -m tests.benchmarks.bench_door [REQUESTS]
"""

import http.client
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from launcher.door.config import DoorSettings, Server
from tests.benchmarks.measure import machine
from tests.support.haproxies import HAProxy
from tests.support.replicas import Replica

BODY = b"x" * 8192
CLIENTS = 8
STREAMS = 200
PATH = "/v1/chat/completions"


def serve(ports: "multiprocessing.Queue[int]", behaviour: str) -> None:
    """A replica in a process of its own, so that it does not share our interpreter."""
    replica = Replica("a")
    replica.behaviour = "stream" if behaviour == "stream" else "answer"
    replica.release.set()
    if behaviour == "open":
        replica.behaviour = "stream"
        replica.release.clear()
    ports.put(replica.server_port)
    time.sleep(3600)


def main() -> None:
    """Print both latencies, the difference, the throughput, and the memory."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    machine()
    for behaviour in ("answer", "stream"):
        port, stop = replica(behaviour)
        try:
            compare(behaviour, port, count)
        finally:
            stop()
    port, stop = replica("open")
    try:
        open_streams(port)
    finally:
        stop()


def replica(behaviour: str) -> tuple[int, Callable[[], None]]:
    """Its port, and what ends it."""
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(ports, behaviour), daemon=True)
    process.start()

    def stop() -> None:
        process.terminate()
        process.join()

    return ports.get(timeout=60), stop


def compare(behaviour: str, port: int, count: int) -> None:
    """The bare replica and the door in turns."""
    with HAProxy(DoorSettings("bench"), [server(port)]) as door:
        places = {"bare": port, "door": door.port}
        times: dict[str, list[float]] = {name: [] for name in places}
        for _ in range(count):
            for name, number in places.items():
                times[name].append(one(number, behaviour))
        for name, values in times.items():
            print(f"{behaviour} {name}: {text(values)}")
        bare, ours = times["bare"], times["door"]
        added = statistics.median(ours) - statistics.median(bare)
        tail = percentile(ours, 99) - percentile(bare, 99)
        print(f"{behaviour} added: median {added * 1e3:.2f} ms, p99 {tail * 1e3:.2f} ms")
        for name, number in places.items():
            print(f"{behaviour} {name}: {rate(number, behaviour, count):.0f} requests/s")


def open_streams(port: int) -> None:
    """Memory of the door while many streams are open."""
    with HAProxy(DoorSettings("bench"), [server(port)]) as door:
        before = door.resident()
        answers = []
        for _ in range(STREAMS):
            connection = door.connection()
            connection.request("POST", PATH, BODY)
            answers.append(connection.getresponse())
            answers[-1].readline()
        used = (door.resident() - before) / 2**20
        print(f"{STREAMS} open streams: {before / 2**20:.0f} MiB idle, {used:.0f} MiB more")


def server(port: int) -> Server:
    """The replica as the door knows it."""
    return Server("a", "127.0.0.1", port, port)


def one(port: int, behaviour: str) -> float:
    """Seconds of one request on a connection of its own, streams to their first chunk."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", PATH, BODY)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"the answer was {answer.status}")
    if behaviour == "stream":
        answer.readline()
        taken = time.perf_counter() - begun
        answer.read()
    else:
        answer.read()
        taken = time.perf_counter() - begun
    connection.close()
    return taken


def rate(port: int, behaviour: str, count: int) -> float:
    """Requests per second of several clients at once."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: one(port, behaviour), range(count)))
    return count / (time.perf_counter() - begun)


def percentile(values: list[float], part: int) -> float:
    """The value that `part` of 100 do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * part // 100)]


def text(values: list[float]) -> str:
    """Median and p99."""
    median, tail = statistics.median(values) * 1e3, percentile(values, 99) * 1e3
    return f"median {median:.2f} ms, p99 {tail:.2f} ms ({len(values)} requests)"


if __name__ == "__main__":
    main()
