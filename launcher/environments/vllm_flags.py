"""Asks an installed vLLM for its flags, once per version, and remembers the answer."""

from __future__ import annotations

import os
import subprocess
import tempfile

from launcher import paths
from launcher.engines.base import Installed
from launcher.engines.vllm import flags

DEADLINE = 180.0
"""Seconds the question may take: vLLM's imports took 10 to 27 s on 2 busy cores."""


def ask(installed: Installed) -> bool:
    """Make the flags of the installed version known; True where they are (or were already).

    False where vLLM did not answer: its flags then stay unchecked, and the plan says so.
    """
    if installed.release is None:
        return False
    if flags.known(installed.release.version, paths.cache()) is not None:
        return True
    environment = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "CUDA_HOME")
        if name in os.environ
    }
    environment |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    try:
        # In an empty folder, or a file called `vllm.py` beside the caller would be asked instead.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [installed.python, "-c", flags.QUERY, flags.MARK],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=DEADLINE,
                check=False,
            )
        answer = flags.parse(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    # The distribution's version is what later calls ask by; the module may call itself otherwise.
    flags.remember({**answer, "version": installed.release.version}, paths.cache())
    return True
