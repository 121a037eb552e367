"""Debian packages that tests need; `.ci/packages` lists them, and `.ci/run` installs them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import ROOT

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin")


def listed() -> dict[str, str]:
    """Package to the command by which a machine is asked whether it has it."""
    lines = (ROOT / ".ci" / "packages").read_text().splitlines()
    rows = (line.split() for line in lines if line.strip() and not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


def program_of(distribution: str, name: str) -> str:
    """The path of a program that an extra of ours installs; skips where it is not, fails in CI."""
    program = shutil.which(name, path=str(Path(sys.executable).parent))
    if program is None:
        _missing(f"{name} is missing: pip install {distribution} (the extra `dev` has it)")
    return str(program)


def needs_package(name: str) -> None:
    """Skip the test where the package `name` is not installed; in CI (`CI=true`) fail it."""
    command = listed()[name]
    # Debian keeps daemons in /usr/sbin, which is not on every user's PATH.
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    if shutil.which(command, path=folders) is not None:
        return
    _missing(f"{command} is missing: apt-get install {name}")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
