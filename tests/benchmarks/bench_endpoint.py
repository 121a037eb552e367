"""How fast the keeper's HTTP endpoint answers, and what it costs the keeper.

Of a ready instance of the scripted engine, of one whose engine is stopped by a signal, of one
under requests without a pause, and while a killed engine is cleaned up and started again.
python -m tests.benchmarks.bench_endpoint [REQUESTS]
"""

import http.client
import os
import signal
import sys
import time
from pathlib import Path

from tests.benchmarks.measure import bench, machine, show
from tests.support.rig import Rig

AIM = "10 ms"
PAGES = ("/livez", "/readyz", "/startupz", "/status", "/metrics")
PAUSE = 0.005
"""Seconds between two requests, so that each meets a loop that sleeps."""
IDLE = 30.0
"""Seconds over which an idle keeper is measured."""


def main() -> None:
    """Print each page's times by state of the engine."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    machine()
    with bench() as rig:
        rig.up(restart={"policy": "on-failure", "first-delay": 1, "max-restarts": 5})
        url = rig.stored()["admin_url"].removeprefix("http://")
        measure("ready", url, count)
        os.kill(rig.engine(), signal.SIGSTOP)
        measure("stopped", url, count)
        os.kill(rig.engine(), signal.SIGCONT)
        before, begun = processor_seconds(rig.keeper()), time.perf_counter()
        measure("no pause", url, 10 * count, pause=0.0)
        spent = processor_seconds(rig.keeper()) - before
        share = 100 * spent / (time.perf_counter() - begun)
        print(f"keeper under requests without a pause: {share:.0f} % of a core")
        before = processor_seconds(rig.keeper())
        time.sleep(IDLE)
        share = 100 * (processor_seconds(rig.keeper()) - before) / IDLE
        resident = memory(rig.keeper()) / 1024 / 1024
        print(f"keeper idle: {share:.2f} % of a core, {resident:.1f} MiB resident")
        measure_failures(rig, url)
        rig.down()


def measure_failures(rig: Rig, address: str, failures: int = 3) -> None:
    """`/readyz` from the engine's end by SIGKILL until it is ready again."""
    connection = http.client.HTTPConnection(address, timeout=60)
    times = []
    for _ in range(failures):
        os.kill(rig.engine(), signal.SIGKILL)
        was_away = False
        while True:
            time.sleep(PAUSE)
            begun = time.perf_counter()
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            response.read()
            times.append(time.perf_counter() - begun)
            was_away = was_away or response.status == 503
            if was_away and response.status == 200:
                break
    show("failure and restart /readyz", times, target=AIM)
    connection.close()


def measure(name: str, address: str, count: int, pause: float = PAUSE) -> None:
    """`count` requests of each page on one connection, as a scraper keeps one."""
    connection = http.client.HTTPConnection(address, timeout=60)
    for page in PAGES:
        times = []
        for _ in range(count):
            time.sleep(pause)
            begun = time.perf_counter()
            connection.request("GET", page)
            connection.getresponse().read()
            times.append(time.perf_counter() - begun)
        show(f"{name} {page}", times, target=AIM)
    connection.close()


def processor_seconds(pid: int) -> float:
    """User and system time of a process."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
