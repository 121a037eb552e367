"""What a keeper costs while it keeps: memory and CPU."""

import os
import time
from pathlib import Path

from tests.benchmarks.measure import bench, machine
from tests.support.rig import Rig

IDLE = 20.0
SUPERVISORD = 25.0
"""MB that supervisord takes for the same work."""


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


def measure(rig: Rig) -> None:
    """Of one idle instance."""
    pid = rig.keeper("bench")
    time.sleep(2)
    before, began = cpu(pid), time.monotonic()
    time.sleep(IDLE)
    share = (cpu(pid) - before) / (time.monotonic() - began) * 100
    memory = resident(pid)
    print(f"keeper, resident memory   {memory:6.1f} MB   target at most 25 MB")
    print(f"  times supervisord       {memory / SUPERVISORD:6.2f} x (25 MB)")
    print(f"keeper, idle for {IDLE:.0f} s     {share:6.2f} % of a core   target under 0.2 %")


def main() -> None:
    """Start one instance and watch its keeper."""
    machine()
    with bench() as rig:
        rig.up("bench")
        try:
            measure(rig)
        finally:
            rig.run("down", "bench")


if __name__ == "__main__":
    main()
