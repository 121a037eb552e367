"""How long `ernie-deploy validate` takes on the model card's profile: at most 180 ms.

python tests/benchmarks/bench_validate.py [ROUNDS]
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles" / "ernie-4.5-21b-a3b-thinking.yaml"

BAR = 180.0
"""Milliseconds of processor time, median: the wall clock of a busy machine measures its load."""

HTTP = ("http", "httpx", "requests", "urllib.request", "urllib3", "aiohttp", "ssl")
"""Modules that talk HTTP: none may be loaded for a question about a file."""


def spent(work: Callable[[], object]) -> float:
    """Milliseconds of processor time that `work` and the processes it waits for take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"ERNIE_DEPLOY_HOME": folder, "PYTHONPATH": str(ROOT)}
        # Bytecode is cached on the first round, as it is for an operator.
        env |= {"PYTHONPYCACHEPREFIX": folder}
        env.pop("PYTHONDONTWRITEBYTECODE", None)

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, *words]
            return subprocess.run(command, env=env, capture_output=True, text=True, check=True)

        validate = ("-m", "launcher", "validate", str(PROFILE))
        loaded = run("-X", "importtime", *validate).stderr
        talkers = {line.rpartition("|")[2].strip() for line in loaded.splitlines()} & set(HTTP)
        assert not talkers, talkers
        bare = statistics.median(spent(lambda: run("-c", "")) for _ in range(rounds))
        median = statistics.median(spent(lambda: run(*validate)) for _ in range(rounds))
    found = {
        "benchmark": "validate",
        "cpu_ms": round(median),
        "bare_python_cpu_ms": round(bare),
        "bar": BAR,
    }
    print(json.dumps(found))
    return 0 if median <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
