"""`status` of 20 running instances."""

import sys

from tests.benchmarks.measure import bench, machine, ratio, seconds, show

INSTANCES = 20


def main() -> None:
    """Start 20 scripted engines, ask for all of them and for one."""
    machine()
    with bench() as rig:
        names = [f"bench-{number:02}" for number in range(INSTANCES)]
        try:
            for name in names:
                rig.up(name)
            version = show("ernie-deploy --version", seconds(lambda: rig.run("--version"), 11))
            one = show("status of 1 instance", seconds(lambda: rig.run("status", names[0]), 11))
            ratio("times --version", one, version)
            everything = show(
                f"status of {INSTANCES} instances, each asked over HTTP",
                seconds(lambda: rig.run("status"), 11), target="under 250 ms",
            )  # fmt: skip
            ratio("times --version", everything, version)
            assert rig.run("status").stdout.count(" ready ") == INSTANCES
        finally:
            for name in names:
                rig.run("down", name)


if __name__ == "__main__":
    sys.exit(main())
