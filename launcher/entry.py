"""Where `ernie-deploy` begins: nothing is imported before a Ctrl-C is answered properly.

Importing the command line takes a moment; an interrupt in it is as good as one a second later.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with a documented code.

    Raises:
        SystemExit: always.
    """
    try:
        from launcher.cli.main import main as run

        run()
    except KeyboardInterrupt:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # being asked again changes nothing
        from launcher.report.interrupted import show_interrupted

        sys.exit(int(show_interrupted(sys.argv[1:])))
