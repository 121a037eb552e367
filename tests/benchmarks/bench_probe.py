"""Processor time of `ernie-deploy probe`, beside bare Python: exec probes start it again and again.

Time on the processor (user and system) and not on the clock: a probe takes it from the server that
it asks about. It is larger on a busy machine too, whose cores and caches are shared.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tests.benchmarks.measure import ROUNDS, bench, environment, machine, record

BAR = 0.050
"""Seconds of processor time that one probe may take."""
NAME = "bench-probe"


def processor_seconds(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """User and system time of one command.

    Raises:
        RuntimeError: it failed: what is measured is broken.
    """
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure in turns, print medians, and say whether the bar is kept."""
    machine()
    with bench() as rig:
        rig.up(NAME)
        try:
            own = {name: value for name, value in rig.env.items() if value is not None}
            env = {**environment(**own), "ERNIE_DEPLOY_HOME": str(rig.home)}
            script = [sys.executable, "-m", "launcher"]
            if os.path.exists(
                path := os.path.join(os.path.dirname(sys.executable), "ernie-deploy")
            ):
                script = [path]
            works = {
                "bare Python": [sys.executable, "-c", ""],
                "python -c 'import json, socket'": [sys.executable, "-c", "import json, socket"],
                "ernie-deploy probe --ready": [*script, "probe", NAME, "--ready"],
                "ernie-deploy probe --live": [*script, "probe", NAME, "--live"],
            }
            times: dict[str, list[float]] = {name: [] for name in works}
            for name, argv in works.items():
                processor_seconds(argv, env)  # the first one compiles
                times[name].clear()
            for _ in range(ROUNDS):
                for name, argv in works.items():
                    times[name].append(processor_seconds(argv, env))
        finally:
            rig.run("down", NAME)
    for name, values in times.items():
        record(f"processor time of {name}", values, "s")
        median, slowest = statistics.median(values), max(values)
        print(f"{name:<36} {median * 1000:6.1f} ms median {slowest * 1000:6.1f} ms most")
    worst = max(statistics.median(values) for name, values in times.items() if "probe" in name)
    print(f"probe: {worst * 1000:.1f} ms of processor time, bar {BAR * 1000:.0f} ms:"
          f" {'kept' if worst < BAR else 'NOT kept'}")  # fmt: skip


if __name__ == "__main__":
    main()
