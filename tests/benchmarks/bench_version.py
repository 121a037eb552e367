"""Start of the command line, beside the bare interpreter and other launchers."""

import os
import subprocess
import sys

from tests.benchmarks.measure import machine, ratio, seconds, show
from tests.support import cli

PEERS = {"honcho": 80, "supervisorctl": 101, "pipx": 116, "RamaLama": 208, "httpie": 239}
"""Milliseconds of their `--version` on a 2-core machine on which bare Python took 14."""
PEERS_PYTHON = 14


def main() -> None:
    """Measure `--version`, `--help` and a verb's `--help`."""
    machine()
    env = {**os.environ, "PYTHONPATH": str(cli.ROOT)}

    def run(*words: str) -> None:
        subprocess.run(words, env=env, check=True, stdout=subprocess.DEVNULL)

    bare = show(
        "bare Python (`python -c pass`)", seconds(lambda: run(sys.executable, "-c", ""), 21)
    )
    for words in (("--version",), ("--help",), ("up", "--help")):
        ours = show(
            f"ernie-deploy {' '.join(words)}", seconds(lambda w=words: run(*cli.argv(*w)), 21)
        )
        ratio("times bare Python", ours, bare, "at most 7" if words == ("--version",) else "")
    for name, peer in PEERS.items():
        print(f"  peer {name:<20} {peer / PEERS_PYTHON:6.1f} x bare Python ({peer} ms)")


if __name__ == "__main__":
    main()
