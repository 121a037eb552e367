"""How long `ernie-deploy doctor --fast` takes on a FastDeploy profile, beside bare Python.

python -m tests.benchmarks.bench_doctor [ROUNDS]
"""

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.benchmarks.measure import ROUNDS, alternate, command, environment, machine, table
from tests.support import ROOT, cli
from tests.twin.interpreter import make_interpreter


def main() -> None:
    """The first run asks the interpreter what it has; the answer is kept for the others."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    machine()
    with tempfile.TemporaryDirectory() as folder:
        python = make_interpreter(Path(folder, "env"), "2.4")
        profile = Path(folder, "profile.yaml")
        profile.write_text(
            f"name: bench\nengine: fastdeploy\npython: {python}\n"
            f"model: {ROOT / 'profiles' / 'tiny-ernie'}\nmax-model-len: 2048\n"
        )
        env = environment(ERNIE_DEPLOY_HOME=folder)
        env["PYTHONPATH"] = str(ROOT)
        argv = cli.argv("doctor", "--fast", "--json", str(profile))
        began = time.perf_counter()
        first = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        print(f"the first run, which asks the interpreter: {time.perf_counter() - began:.2f} s")
        if not json.loads(first.stdout)["data"]["findings"]:
            raise RuntimeError(f"doctor found nothing to say: {first.stderr}")
        bare = "bare Python"
        works = {
            bare: partial(command, (sys.executable, "-c", ""), env),
            # 1 and 3 are its verdict about this machine.
            "ernie-deploy doctor --fast": partial(command, argv, env, (0, 1, 3)),
        }
        table(alternate(works, rounds), bare)


if __name__ == "__main__":
    main()
