"""Secrets are references in a profile and are resolved only where they are used."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from launcher import files, subprocesses
from launcher.errors import PreconditionError

COMMAND_DEADLINE = 30.0
"""Seconds a `cmd:` reference may take: password managers ask over the network."""
LONGEST = 16 * 1024
"""Bytes of a secret. A header or a variable takes no more, and `file:` may name a whole disk."""
_TOO_LONG = f"more than {LONGEST // 1024} KiB, so it is not a key"


def resolve(reference: str, *, lines: bool = False) -> str:
    """The secret behind `env:NAME`, `file:PATH` or `cmd:WORDS`, without its last newline.

    With `lines` it may have several lines, as a certificate has.

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
            secret = _from_file(Path(value).expanduser())
            problem = f"the file {value} is empty"
        except (OSError, ValueError) as error:
            problem = f"the file {value} cannot be read ({type(error).__name__})"
    elif kind == "cmd":
        secret, problem = _from_command(value)
    else:
        problem = "a secret is given as env:NAME, file:PATH or cmd:COMMAND"
    if len(secret.encode()) > LONGEST:
        secret, problem = "", f"it has {_TOO_LONG}"
    elif not (secret if not lines else "".join(secret.splitlines())).isprintable():
        secret, problem = "", "it has a line break or a control character, so it is not a key"
    if not secret:
        raise PreconditionError.of(
            "missing-secret", f"no secret behind {kind}:{value}: {problem}", remedy=_remedy(kind)
        )
    return secret


def _from_file(path: Path) -> str:
    """The text of a file or pipe; of one that is too long, a little more than the limit.

    Raises:
        OSError: it cannot be read, or its writer (`<(pass ernie)`) takes longer than a command may.
        ValueError: it is not text, or the path holds a NUL.
    """
    return files.read_input(path, LONGEST, COMMAND_DEADLINE).decode().rstrip("\r\n")


def _from_command(value: str) -> tuple[str, str]:
    try:
        done = subprocesses.run(
            shlex.split(value), deadline=COMMAND_DEADLINE, limit=LONGEST, terminal=True
        )
        if done.too_long:
            return "", f"the command printed {_TOO_LONG}"
        if done.timed_out:
            return "", f"the command did not end within {COMMAND_DEADLINE:g} s"
        if done.returncode:
            return "", f"the command exited with {done.returncode}"
        return done.stdout.decode().rstrip("\r\n"), "the command printed nothing"
    except UnicodeDecodeError:
        return "", "the command printed something that is not UTF-8 text"
    except (OSError, ValueError) as error:
        return "", f"the command could not be run ({type(error).__name__})"


def _remedy(kind: str) -> str:
    return {
        "env": "export the variable before calling ernie-deploy",
        "file": "write the secret to that file, mode 0600",
        "cmd": "run the command by hand to see what it says",
    }.get(kind, "see `ernie-deploy profiles schema`")
