"""What a keeper costs while it keeps, beside other supervisors with one program each."""

import contextlib
import os
import tempfile
import time
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.measure import bench, figure, machine
from tests.support import processes

IDLE = 20.0
OURS = "the keeper of one instance"


def resident(pid: int) -> float:
    """Resident memory, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu(pid: int) -> float:
    """CPU seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own(pid: int) -> list[int]:
    """A supervisor's process and those of its helpers, but not the program it runs."""
    below = [p for p in processes.children(pid) if not processes.command(p).startswith(b"sleep")]
    return [pid, *below]


def main() -> None:
    """Start one instance and the peers, leave all alone, and look at them at the same time."""
    machine()
    with bench() as rig, tempfile.TemporaryDirectory(prefix="edt-peers-") as folder:
        rig.up("bench")
        try:
            with contextlib.ExitStack() as stack:
                watched = {OURS: [rig.keeper("bench")]}
                for kind in peers.kinds():
                    folder_of_kind = Path(folder, kind.replace(" ", "-"))
                    peer = stack.enter_context(peers.started(kind, folder_of_kind))
                    watched[f"{kind}, one program"] = [peer.pid]
                time.sleep(3)
                for name in watched:
                    watched[name] = own(watched[name][0]) if name != OURS else watched[name]
                before = {name: sum(map(cpu, pids)) for name, pids in watched.items()}
                began = time.monotonic()
                time.sleep(IDLE)
                passed = time.monotonic() - began
                for name, pids in watched.items():
                    share = (sum(map(cpu, pids)) - before[name]) / passed
                    figure(f"memory: {name}", sum(map(resident, pids)), "MB")
                    figure(f"idle for {IDLE:.0f} s: {name}", share * 100, "% of a core")
        finally:
            rig.run("down", "bench")


if __name__ == "__main__":
    main()
