"""Asks an installed engine what only it can tell (vLLM: its flags), once per version."""

from __future__ import annotations

import os
import tempfile

from launcher import paths, subprocesses
from launcher.engines.base import Engine, Installed

DEADLINE = 180.0
"""Seconds the question may take: vLLM's imports took 10 to 27 s on 2 busy cores."""
LONGEST_ANSWER = 8 * 1024 * 1024
"""Bytes of the answer: vLLM's some 300 flags take a few hundred kilobytes."""


def ask(engine: Engine, installed: Installed) -> bool:
    """Make the answer of the installed version known; True where it is, or needs not be asked.

    False where the engine did not answer: its flags then stay unchecked, and the plan says so.
    """
    question = engine.question
    if question is None:
        return True
    if installed.release is None:
        return False
    if question.cached_answer(installed.release.version, paths.cache()) is not None:
        return True
    environment = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "CUDA_HOME")
        if name in os.environ
    }
    environment |= question.environment
    try:
        # In an empty folder, or a file called `vllm.py` beside the caller would be asked instead.
        with tempfile.TemporaryDirectory() as folder:
            argv = [installed.python, *question.arguments]
            done = subprocesses.run(
                argv, deadline=DEADLINE, limit=LONGEST_ANSWER, env=environment, cwd=folder
            )
        if done.returncode is None:
            return False
        answer = question.parse(done.text)
        # The distribution's version is what later calls ask by; the module may have another.
        question.remember({**answer, "version": installed.release.version}, paths.cache())
    except (OSError, ValueError):
        return False
    return True
