"""Where `ernie-deploy` begins: nothing is imported before a Ctrl-C is answered properly.

Importing the command line takes a moment; an interrupt in it is as good as one a second later.
"""

from __future__ import annotations

import gc
import sys

GARBAGE = 20_000
"""Objects made before the collector looks for garbage; 700 is Python's own."""


def main() -> None:
    """Run the command line and exit with a documented code.

    Raises:
        SystemExit: always.
    """
    # What is imported stays: looking through it again and again for garbage is a tenth of a start.
    gc.set_threshold(GARBAGE)
    try:
        from launcher.cli.quick import run_quick

        code = run_quick(sys.argv[1:])
        if code is None:
            from launcher.cli.main import main as run

            run()
        else:
            _flush()
            sys.exit(code)
    except KeyboardInterrupt:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # being asked again changes nothing
        from launcher.report.interrupted import show_interrupted

        sys.exit(int(show_interrupted(sys.argv[1:])))
    finally:
        # The kernel takes back all of it at once: a search for garbage before it is wasted.
        gc.freeze()


def _flush() -> None:
    """Write what is left, now that a reader that went away can still be told apart."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        from launcher.cli.outcome import stop_writing

        stop_writing(0)
