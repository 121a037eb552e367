"""A defect of ours: a report that can be sent to us instead of a traceback on the terminal."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback

from launcher import __version__, paths
from launcher.errors import ExitCode
from launcher.plain import plain


def report_crash(words: list[str]) -> ExitCode:
    """Write the current exception to a private file and say where it is; the exit code is 70.

    The values of `--set` are left out: they may hold what nobody should send.
    """
    shown = ["--set=..." if w.startswith("--set=") else w for w in words]
    shown = ["..." if i and shown[i - 1] == "--set" else w for i, w in enumerate(shown)]
    text = "\n".join(
        [
            f"ernie-deploy {__version__}, Python {platform.python_version()}",
            platform.platform(),
            f"command: {shown}",
            "",
            traceback.format_exc(),
        ]
    )
    try:
        folder = paths.private_folder(paths.home() / "crashes")
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        path.touch(mode=0o600)
        path.write_text(text)
    except OSError as error:
        sys.stderr.write(f"{text}\nernie-deploy: the report could not be written: {error}\n")
        return ExitCode.DEFECT
    kind, value, _ = sys.exc_info()
    name = kind.__name__ if kind else "error"
    sys.stderr.write(
        f"ernie-deploy: a defect of ernie-deploy itself: {name}: {plain(str(value))}\n"
        f"    the report is {path}; please send it with the profile (without secrets)\n"
    )
    return ExitCode.DEFECT
