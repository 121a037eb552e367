"""What a keeper costs while it keeps, beside supervisord and circusd with one program each."""

import os
import tempfile
import time
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.measure import bench, machine

IDLE = 20.0


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


def main() -> None:
    """Start one instance and the peers, leave all alone, and look at them at the same time."""
    machine()
    with bench() as rig, tempfile.TemporaryDirectory(prefix="edt-peers-") as folder:
        rig.up("bench")
        try:
            with peers.supervisors(Path(folder), 1) as supervisors:
                watched = {"the keeper of one instance": rig.keeper("bench")}
                watched |= {f"{peer.name}, one program": peer.pid for peer in supervisors}
                time.sleep(2)
                before, began = {p: cpu(p) for p in watched.values()}, time.monotonic()
                time.sleep(IDLE)
                passed = time.monotonic() - began
                ours = resident(watched["the keeper of one instance"])
                for name, pid in watched.items():
                    share = (cpu(pid) - before[pid]) / passed * 100
                    memory = resident(pid)
                    print(
                        f"{name:<32} {memory:6.1f} MB ({memory / ours:4.2f} x ours)   "
                        f"idle for {IDLE:.0f} s: {share:5.2f} % of a core"
                    )
        finally:
            rig.run("down", "bench")


if __name__ == "__main__":
    main()
