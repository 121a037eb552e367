"""The version of a program that is installed here."""

from __future__ import annotations

import re
import subprocess

TIMEOUT = 10.0
_VERSION = re.compile(r"\bversion (\d{1,4}(?:\.\d{1,4}){1,3})")


def program_version(path: str) -> str | None:
    """What `PATH -v` says; None where it cannot be run, or says none."""
    try:
        ran = subprocess.run(
            [path, "-v"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(ran.stdout[:4096].decode(errors="replace"))
    return match[1] if match else None


def program_features(path: str) -> str:
    """What `PATH -vv` says of the way it was built; empty where it cannot be run."""
    try:
        ran = subprocess.run(
            [path, "-vv"], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout[:65536].decode(errors="replace")
