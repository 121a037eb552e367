"""What the gateway of Anthropic's dialect costs beside the bare engine, in one run.

A service of FastDeploy's stand-in with tokens as fast as it can: `replica` asks the engine itself,
`door` the front door in OpenAI's dialect, `gateway` the same question in Anthropic's. Latency of
one client in turns, then requests per second of several clients, memory, and the start.
python -m tests.benchmarks.bench_gateway [SECONDS]
"""

import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launcher.host import processes
from tests.benchmarks.measure import alternate, machine, show
from tests.support import home as homes
from tests.support.dialect_rig import ANY_MODEL, KEY, DialectRig, dialect_rig, twin

CLIENTS = 8
QUESTION = [{"role": "user", "content": "Hello!"}]
OPENAI = {"model": "ernie", "messages": QUESTION, "max_tokens": 16}
ANTHROPIC = {"model": ANY_MODEL, "messages": QUESTION, "max_tokens": 16}
COUNT = {"model": ANY_MODEL, "messages": QUESTION}


def main() -> None:
    """Print latency, requests per second, memory and start."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    machine()
    with (
        homes.temporary_home() as home,
        tempfile.TemporaryDirectory(prefix="edt-bench-") as folder,
        dialect_rig(home, Path(folder), twin) as rig,
    ):
        rig.must("deploy", rig.path_of())
        member = rig.members()[0]
        ways = {
            "replica": (_port(rig, member), "/v1/chat/completions", OPENAI),
            "door": (rig.port, "/v1/chat/completions", OPENAI),
            "gateway": (rig.port, "/v1/messages", ANTHROPIC),
            "count_tokens": (rig.port, "/v1/messages/count_tokens", COUNT),
        }
        calls = {name: _caller(*way) for name, way in ways.items()}
        for name, times in alternate(calls).items():
            show(f"one answer, {name}", times)
        for name, way in ways.items():
            print(f"{CLIENTS} clients, {name}: {_rate(way, seconds):.0f} requests/s")
        for name in (member, "shop-door", "shop-gateway"):
            print(f"{name}: {_resident(rig, name) / 1024 / 1024:.0f} MiB resident")
        print(f"gateway: {_start(rig):.1f} s from its start until it is ready")


def _port(rig: DialectRig, instance: str) -> int:
    ports = rig.stored(instance, "plan.json")["ports"]
    return next(int(use["number"]) for use in ports if use["name"] == "api")


def _caller(port: int, path: str, body: object) -> Callable[[], None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    text = json.dumps(body)

    def call() -> None:
        connection.request("POST", path, text, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")

    return call


def _rate(way: tuple[int, str, object], seconds: float) -> float:
    counts = [0] * CLIENTS
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        call = _caller(*way)
        while time.perf_counter() < end:
            call()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def _resident(rig: DialectRig, instance: str) -> int:
    state = rig.stored(instance)
    pids = {int(state["engine"]["pid"]), *(int(one["pid"]) for one in state["processes"])}
    return sum(processes.resident_bytes(pid) for pid in pids)


def _start(rig: DialectRig) -> float:
    lines = (rig.home / "instances" / "shop-gateway" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    ready = next(one for one in events if one.get("state") == "ready")
    return float(ready["seconds"])


if __name__ == "__main__":
    main()
