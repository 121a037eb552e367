"""Where `ernie-deploy` begins: nothing is imported before a Ctrl-C is answered properly.

Importing the command line takes a moment; an interrupt in it is as good as one a second later.
"""

from __future__ import annotations

import gc
import sys

from launcher.cli.boundary import run

GARBAGE = 20_000
"""Objects made before the collector looks for garbage; 700 is Python's own."""


def main() -> None:
    """Run the command line and exit with a documented code.

    Raises:
        SystemExit: always.
    """
    # What is imported stays: looking through it again and again for garbage is a tenth of a start.
    gc.set_threshold(GARBAGE)
    argv = sys.argv[1:]
    try:
        sys.exit(run(lambda: _command_line(argv), argv, is_process=True))
    finally:
        # The kernel takes back all of it at once: a search for garbage before it is wasted.
        gc.freeze()


def _command_line(argv: list[str]) -> int:
    from launcher.cli.quick import run_quick

    code = run_quick(argv)
    if code is None:
        from launcher.cli.main import invoke

        code = invoke(argv)
    return code
