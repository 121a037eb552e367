"""Finds an interpreter that an engine can be installed for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher import subprocesses
from launcher.errors import PreconditionError, Problem
from launcher.host.interpreter import inspect

_DEADLINE = 60.0
"""Seconds in which an interpreter has to say whether it can make environments."""
_CAN_MAKE_ENVIRONMENTS = "import ensurepip, ssl, venv"


@dataclass(frozen=True)
class Base:
    """An interpreter from which an environment can be made."""

    python: str
    version: str


def fitting(minors: tuple[str, ...], chosen: str | None = None) -> Base:
    """The best interpreter whose minor version is in `minors` (best first), or `chosen`.

    Raises:
        PreconditionError: `no-interpreter`: none fits; says what was looked at and why not.
    """
    if chosen is not None:
        base, reason = _judge(chosen, minors)
        if base is None:
            raise PreconditionError(
                Problem("no-interpreter", f"{chosen}: {reason}", "--python", _format_minors(minors))
            )
        return base
    rejected: dict[str, str] = {}
    for minor in minors:
        for candidate in _candidates(minor):
            if candidate in rejected:
                continue
            base, reason = _judge(candidate, (minor,))
            if base is not None:
                return base
            rejected[candidate] = reason
    rejections = "; ".join(f"{path}: {reason}" for path, reason in rejected.items()) or "none found"
    raise PreconditionError(
        Problem(
            "no-interpreter",
            f"no Python that fits the engine ({', '.join(minors)}): {rejections}",
            remedy=_format_minors(minors),
        )
    )


def _format_minors(minors: tuple[str, ...]) -> str:
    return (
        f"install Python {minors[0]} with its venv module (Debian: python{minors[0]}-venv; "
        f"or `pyenv install {minors[0]}`, `uv python install {minors[0]}`), or name one with "
        "--python"
    )


def _judge(python: str, minors: tuple[str, ...]) -> tuple[Base | None, str]:
    try:
        installed = inspect(python, ("pip",))
    except PreconditionError as error:
        return None, error.problems[0].message.partition(": ")[2]
    if installed.python_version.rpartition(".")[0] not in minors:
        return None, f"is Python {installed.python_version}"
    try:
        answer = subprocesses.run(
            [installed.python, "-I", "-c", _CAN_MAKE_ENVIRONMENTS], deadline=_DEADLINE
        )
    except OSError as error:
        return None, f"cannot be started ({error.strerror})"
    if answer.returncode is None:
        return None, "gives no answer"
    if answer.returncode:
        return None, f"cannot make environments ({answer.complaint or 'no reason given'})"
    return Base(installed.python, installed.python_version), ""


def _candidates(minor: str) -> Iterator[str]:
    """Paths that may be Python `minor`, without asking them."""
    seen_paths = set()
    for path in _places(minor):
        if path.exists() and os.access(path, os.X_OK) and str(path) not in seen_paths:
            seen_paths.add(str(path))
            yield str(path)


def _places(minor: str) -> Iterator[Path]:
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == minor:
        # An environment made from an environment breaks when the first goes away.
        yield Path(getattr(sys, "_base_executable", sys.executable) or sys.executable)
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    for folder in folders:
        yield folder / f"python{minor}"
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for root, pattern in ((pyenv, f"{minor}*"), (uv, f"cpython-{minor}*")):
        # Newest patch release first; folders of other kinds fall out when they are asked.
        for folder in sorted(root.glob(pattern), key=_patch, reverse=True):
            yield folder / "bin" / f"python{minor}"
    for folder in folders:
        yield folder / "python3"
        yield folder / "python"


def _patch(folder: Path) -> tuple[int, ...]:
    numbers = folder.name.replace("cpython-", "").partition("-")[0].split(".")
    return tuple(int(n) if n.isdigit() else -1 for n in numbers)
