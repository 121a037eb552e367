"""A defect of ours: a report that can be sent to us instead of a traceback on the terminal."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence

from launcher import __version__, paths
from launcher.errors import DeployError, Problem
from launcher.plain import plain


def report_crash(argv: Sequence[str]) -> Problem:
    """Write the current exception to a private file; what to say about it.

    The values of `--set` are left out: they may hold a secret.
    """
    shown_argv = ["--set=..." if w.startswith("--set=") else w for w in argv]
    shown_argv = [
        "..." if i and shown_argv[i - 1] == "--set" else w for i, w in enumerate(shown_argv)
    ]
    text = "\n".join(
        [
            f"ernie-deploy {__version__}, Python {platform.python_version()}",
            platform.platform(),
            f"command: {shown_argv}",
            "",
            traceback.format_exc(),
        ]
    )
    kind, value, _ = sys.exc_info()
    summary = f"a defect of ernie-deploy itself: {kind.__name__ if kind else 'error'}: {value}"
    try:
        folder = paths.private_folder(paths.home() / "crashes")
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        path.touch(mode=0o600)
        path.write_text(text, errors="backslashreplace")
    except (OSError, DeployError) as error:
        sys.stderr.write(f"{plain(text)}\n")
        return Problem(
            "defect", summary, None, f"the report above could not be written to a file: {error}"
        )
    return Problem(
        "defect", summary, None,
        f"the report is {path}; please send it with the profile (without secrets)",
    )  # fmt: skip
