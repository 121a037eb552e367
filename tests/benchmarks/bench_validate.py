"""What `validate` of the model card's profile costs in processor time, beside bare Python.

python -m tests.benchmarks.bench_validate [ROUNDS]
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable

from tests.benchmarks.measure import ROUNDS, command, environment, machine, ratio, show
from tests.support import ROOT

PROFILE = ROOT / "profiles" / "ernie-4.5-21b-a3b-thinking.yaml"

HTTP = ("http.client", "httpx", "requests", "urllib.request", "urllib3", "aiohttp", "ssl")
"""Modules that talk HTTP: none may be loaded for a question about a file."""


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time that `work` and the processes it waits for take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """In turns, so that a slow hour is slow for both."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    machine()
    with tempfile.TemporaryDirectory() as folder:
        env = environment(ERNIE_DEPLOY_HOME=folder, PYTHONPYCACHEPREFIX=folder)
        env["PYTHONPATH"] = str(ROOT)
        bare = (sys.executable, "-c", "")
        validate = (sys.executable, "-m", "launcher", "validate", str(PROFILE))
        listed = subprocess.run(
            (sys.executable, "-X", "importtime", *validate[1:]),
            env=env, capture_output=True, text=True, check=True,
        ).stderr  # fmt: skip
        talkers = {line.rpartition("|")[2].strip() for line in listed.splitlines()} & set(HTTP)
        if talkers:
            raise RuntimeError(f"validate imports {', '.join(sorted(talkers))}")
        floor, ours = [], []
        for _ in range(rounds):
            floor.append(spent(lambda: command(bare, env)))
            ours.append(spent(lambda: command(validate, env)))
        show("bare Python, processor time", floor)
        show("ernie-deploy validate, processor time", ours)
        ratio("times bare Python", ours, floor)


if __name__ == "__main__":
    main()
