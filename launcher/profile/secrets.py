"""Secrets are references in a profile and are resolved only where they are used."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from launcher.errors import PreconditionError

COMMAND_DEADLINE = 30.0
"""Seconds a `cmd:` reference may take: password managers ask over the network."""


def resolve(reference: str) -> str:
    """The secret behind `env:NAME`, `file:PATH` or `cmd:WORDS`, without its last newline.

    Raises:
        PreconditionError: the variable, file or command is missing, empty or failed; the message
            names the reference and never what it gave.
    """
    kind, _, value = reference.partition(":")
    secret = ""
    problem = ""
    if kind == "env":
        secret = os.environ.get(value, "")
        problem = f"the environment variable {value} is not set or empty"
    elif kind == "file":
        try:
            secret = Path(value).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
            problem = f"the file {value} is empty"
        except (OSError, UnicodeDecodeError) as error:
            problem = f"the file {value} cannot be read ({type(error).__name__})"
    elif kind == "cmd":
        secret, problem = _from_command(value)
    else:
        problem = "a secret is given as env:NAME, file:PATH or cmd:COMMAND"
    if not secret:
        raise PreconditionError.of(
            "missing-secret", f"no secret behind {kind}:{value}: {problem}", remedy=_remedy(kind)
        )
    return secret


def _from_command(value: str) -> tuple[str, str]:
    try:
        done = subprocess.run(
            shlex.split(value),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_DEADLINE,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return "", f"the command could not be run ({type(error).__name__})"
    if done.returncode:
        return "", f"the command exited with {done.returncode}"
    return done.stdout.rstrip("\r\n"), "the command printed nothing"


def _remedy(kind: str) -> str:
    return {
        "env": "export the variable before calling ernie-deploy",
        "file": "write the secret to that file, mode 0600",
        "cmd": "run the command by hand to see what it says",
    }.get(kind, "see `ernie-deploy profiles schema`")
