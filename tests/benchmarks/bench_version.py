"""Start of the command line, beside the bare interpreter and other supervisors, in turns."""

import sys
import tempfile
from functools import partial

from tests.benchmarks import peers
from tests.benchmarks.measure import alternate, command, environment, machine, table
from tests.support import ROOT, cli

PROFILE = "profiles/ernie-4.5-21b-a3b-thinking.yaml"
BARE = "bare Python"
AIMS = {
    "ernie-deploy --version": "2.0",
    "ernie-deploy status (no instances)": "3.5",
    "ernie-deploy validate PROFILE": "4.0",
}
"""Times bare Python, as it starts in the environment of a checkout."""


def main() -> None:
    """Measure `--version`, `--help`, `status` of nothing and `validate`."""
    machine()
    with tempfile.TemporaryDirectory() as folder:
        env = environment(ERNIE_DEPLOY_HOME=folder, PYTHONPYCACHEPREFIX=f"{folder}/pyc")
        env["PYTHONPATH"] = str(ROOT)
        lines = {
            BARE: (sys.executable, "-c", ""),
            "ernie-deploy --version": cli.argv("--version"),
            "ernie-deploy up --help": cli.argv("up", "--help"),
            "ernie-deploy status (no instances)": cli.argv("status"),
            "ernie-deploy validate PROFILE": cli.argv("validate", str(ROOT / PROFILE)),
        }
        works = {name: partial(command, argv, env) for name, argv in lines.items()}
        table(alternate(works), BARE, AIMS)
        starts = peers.starts()
        if not starts:
            return
        print()
        # One environment for all, and its own bare Python: an editable install is slow to start.
        python = peers.python() or ""
        mine = {name: (python, *argv[1:]) for name, argv in lines.items()}
        table(alternate({n: partial(command, w, env) for n, w in (mine | starts).items()}), BARE)


if __name__ == "__main__":
    main()
