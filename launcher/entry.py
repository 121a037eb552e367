"""Where `ernie-deploy` begins: nothing is imported before a Ctrl-C is answered properly.

Importing the command line takes a moment; an interrupt in it is as good as one a second later.
That is why no line above `main` looks for a module on the disk: both modules are in memory since
Python's own start, or built into it.
"""

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
    argv = sys.argv[1:]
    try:
        sys.exit(_run(argv))
    except KeyboardInterrupt:
        # It came before the boundary was there to answer it; from its answer on, none comes.
        sys.exit(_interrupted(argv))
    finally:
        # The kernel takes back all of it at once: a search for garbage before it is wasted.
        gc.freeze()


def _run(argv: list[str]) -> int:
    from launcher.cli.boundary import run

    return run(lambda: _command_line(argv), argv, is_process=True)


def _interrupted(argv: list[str]) -> int:
    """The boundary's answer to an interrupt that came before it; a further one is ignored."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from launcher.cli.boundary import run

    def stop() -> int:
        raise KeyboardInterrupt

    return run(stop, argv)


def _command_line(argv: list[str]) -> int:
    from launcher.cli.quick import run_quick

    code = run_quick(argv)
    if code is None:
        from launcher.cli.main import invoke

        code = invoke(argv)
    return code
