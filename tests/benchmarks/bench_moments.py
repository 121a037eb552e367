"""The moments an operator waits for: ready is told, a death is seen, `down` returns."""

import json
import os
import select
import signal
import time
from pathlib import Path

from launcher.keeper.control import Client
from tests.benchmarks.measure import bench, machine, ratio, show
from tests.support.rig import NEVER, Rig

ROUNDS = 11
PEERS = {"text-generation-inference": 100, "GPUStack": 3000, "FastDeploy": 5000, "KServe": 100_000}
"""Milliseconds in which others see that a worker has died."""


def ready(rig: Rig) -> tuple[float, float]:
    """(port open to first question, last byte of the probe's answer to `ready` told), seconds."""
    stamp = Path(rig.path("stamp"))
    stamp.unlink(missing_ok=True)
    script = {"stamp": str(stamp), "before": [{"sleep": 0.3}]}
    process = rig.spawn("up", rig.profile("bench", script, restart=NEVER), "--json")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("event") == "state" and event["state"] == "ready":
            reported_at = time.monotonic()
            break
    process.communicate()
    stamps = [line.split() for line in stamp.read_text().splitlines()]
    opened = next(float(s[0]) for s in stamps if s[1] == "open")
    asked_at = next(float(s[0]) for s in stamps if s[1] == "asked")
    answered = next(float(s[0]) for s in stamps if s[1] == "answered" and "completions" in s[2])
    return asked_at - opened, reported_at - answered


def death(rig: Rig) -> float:
    """From `kill -9` of the engine to the keeper's word about it, seconds."""
    client = Client(rig.instance("bench"))
    client.request("follow")
    events = client.events(60)
    killed = time.monotonic()
    os.kill(rig.engine("bench"), signal.SIGKILL)
    for event in events:
        if event and event["event"] == "failure":
            break
    observed_at = time.monotonic()
    client.close()
    rig.wait_for_state("died", "bench")
    return observed_at - killed


def down(rig: Rig) -> tuple[float, float]:
    """(last exit in the tree to the return of `down`, `down` as a whole), seconds."""
    engine = os.pidfd_open(rig.engine("bench"))
    began = time.monotonic()
    process = rig.spawn("down", "bench")
    poller = select.poll()
    poller.register(engine, select.POLLIN)
    poller.poll()
    ended = time.monotonic()
    process.communicate()
    returned = time.monotonic()
    os.close(engine)
    return returned - ended, returned - began


def main() -> None:
    """Measure each moment several times and print it beside its target."""
    machine()
    opened, reported, observed, returned, complete = [], [], [], [], []
    with bench() as rig:
        for _ in range(ROUNDS):
            first, second = ready(rig)
            opened.append(first)
            reported.append(second)
            observed.append(death(rig))
        for _ in range(ROUNDS):
            rig.up("bench")
            first, second = down(rig)
            returned.append(first)
            complete.append(second)
        show("port open to first question", opened, target="within 100 ms")
        show("last byte of the completion to `ready` told", reported, target="within 100 ms")
        ours = show("kill -9 of the engine to the keeper's word", observed, target="within 100 ms")
        for name, peer in PEERS.items():
            print(f"  peer {name:<26} {peer:>7} ms, {peer / ours:10.0f} x ours")
        show("last exit to the return of `down`", returned, target="within 200 ms")
        show("`down` as a whole", complete)
        ratio("share of the whole `down`", returned, complete)


if __name__ == "__main__":
    main()
