"""What a Python interpreter has, asked of the interpreter itself, without importing an engine.

The question costs one start of the interpreter (about 0.1 s); the answer comes from package
metadata and is cached until one of the folders it was read from changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher import files, paths
from launcher.errors import PreconditionError, Problem

DEADLINE = 30.0
"""Seconds an interpreter may take to answer; a cold network disk needs several."""

_OUTPUT_LIMIT = 1024 * 1024
_MARK = "ernie-deploy-inspection:"
_CACHE_FORMAT = 1

# Runs in any Python since 2.7, so that an interpreter that is too old can be named by its version.
_QUESTION = """
import json, os, sys
names = json.loads(sys.argv[1])
found = {}
try:
    from importlib import metadata
except ImportError:
    metadata = None
for name in names if metadata else ():
    try:
        found[name] = metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        pass
folders = [p for p in sys.path if p and os.path.isdir(p)]
sys.stdout.write("\\n" + sys.argv[2] + json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "executable": sys.executable,
    "prefix": sys.prefix,
    "folders": folders,
    "distributions": found,
}) + "\\n")
"""


@dataclass(frozen=True)
class Inspection:
    """What an interpreter answered.

    `python` is the absolute path that was asked (not resolved: a virtual environment's link must
    stay one), `python_version` like `3.11.7`, `distributions` the wanted ones that are installed.
    `how` says how this was learnt.
    """

    python: str
    python_version: str
    distributions: Mapping[str, str] = field(default_factory=dict)
    how: str = ""


def inspect(
    python: str,
    distributions: tuple[str, ...],
    *,
    pythonpath: str | None = None,
    deadline: float = DEADLINE,
) -> Inspection:
    """Ask `python` for its version and for the versions of `distributions`.

    `python` is a path, or a name that is looked up on PATH. `pythonpath` is what the engine will
    have as PYTHONPATH; our own is never passed on. `deadline` is in seconds.

    Raises:
        PreconditionError: `wrong-interpreter`: missing, not executable, not Python, or silent.
    """
    path = _locate(python)
    cached = _read_cache(path, distributions, pythonpath)
    if cached is not None:
        return cached
    answer = _ask(path, distributions, pythonpath, deadline)
    result = Inspection(
        path, answer["version"], answer["distributions"], f"package metadata read by {path}"
    )
    # A pyenv shim or a wrapper script may answer differently tomorrow without changing itself.
    if os.path.realpath(answer["executable"] or "") == os.path.realpath(path):
        _write_cache(result, distributions, pythonpath, answer["folders"])
    return result


def _wrong(python: str, reason: str, remedy: str | None = None) -> PreconditionError:
    return PreconditionError(
        Problem(
            "wrong-interpreter",
            f"{python} cannot be used as the engine's Python: {reason}",
            "python",
            remedy or "name the python of the engine's environment, e.g. /path/to/venv/bin/python",
        )
    )


def _locate(python: str) -> str:
    """The absolute path of an executable file.

    Raises:
        PreconditionError: there is none.
    """
    if "/" not in python and not python.startswith("~"):
        resolved = shutil.which(python)
        if resolved is None:
            raise _wrong(python, "no such command on PATH")
        return str(Path(resolved).absolute())
    path = Path(python).expanduser().absolute()
    if path.is_dir():
        inside = path / "bin" / "python"
        hint = f"did you mean {inside}?" if inside.exists() else None
        raise _wrong(python, "it is a folder", hint)
    if path.is_symlink() and not path.exists():
        raise _wrong(python, f"it is a link to {path.readlink()}, which does not exist")
    if not path.exists():
        raise _wrong(python, "no such file")
    if not os.access(path, os.X_OK):
        raise _wrong(python, "it is not executable")
    return str(path)


def _ask(
    path: str, distributions: Iterable[str], pythonpath: str | None, deadline: float
) -> dict[str, Any]:
    # Our own PYTHON* variables would make a foreign interpreter answer about our packages.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    if pythonpath:
        env["PYTHONPATH"] = pythonpath
    argv = [path, "-c", _QUESTION, json.dumps(list(distributions)), _MARK]
    try:
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=env,
                cwd="/",
                start_new_session=True,
            )
            try:
                output, in_time = _read(process, deadline)
            finally:
                _end(process)
            errors.seek(0)
            complaint = errors.read(4096).decode(errors="replace").strip()
    except OSError as error:
        raise _wrong(path, f"it cannot be started: {error.strerror or error}") from error
    for line in output.decode(errors="replace").splitlines():
        if line.startswith(_MARK):
            answer: dict[str, Any] = json.loads(line[len(_MARK) :])
            return answer
    if not in_time:
        raise _wrong(path, f"it gave no answer within {deadline:g} s")
    last = complaint.splitlines()[-1] if complaint else f"exit code {process.returncode}"
    raise _wrong(path, f"it does not behave like Python ({last[:200]})")


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """The process's output, at most 1 MiB of it, and whether it ended within the deadline."""
    assert process.stdout is not None  # noqa: S101
    end = time.monotonic() + deadline
    output = b""
    while True:
        left = end - time.monotonic()
        if left <= 0 or not files.wait_until_ready(process.stdout.fileno(), left):
            return output, False
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            break
        output += chunk
        # An interpreter whose exit hangs (a stuck atexit hook) has answered anyway, and one
        # that floods its output never will.
        answered = _MARK.encode() in output and output.endswith(b"}\n")
        if answered or len(output) > _OUTPUT_LIMIT:
            return output, True
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=max(0.0, end - time.monotonic()))
    return output, process.returncode is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None  # noqa: S101
    process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.2)
    # Without a return code the leader is not reaped, so its number cannot be another's.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cache_file(path: str, distributions: Iterable[str], pythonpath: str | None) -> Path:
    question = json.dumps([path, sorted(distributions), pythonpath])
    digest = hashlib.sha256(question.encode()).hexdigest()[:24]
    return paths.cache() / "interpreters" / f"{digest}.json"


def _stamps(path: str, folders: Iterable[str]) -> dict[str, int]:
    """Modification times (ns) of all that decides an interpreter's answer."""
    stamps: dict[str, int] = {}
    watched = [path, os.path.realpath(path), str(Path(path).parent.parent / "pyvenv.cfg")]
    for folder in folders:
        watched.append(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            watched += [entry.path for entry in entries if entry.name.endswith(".pth")]
    for name in watched:
        try:
            stamps[name] = Path(name).stat().st_mtime_ns
        except OSError:
            stamps[name] = -1
    return stamps


def _read_cache(
    path: str, distributions: tuple[str, ...], pythonpath: str | None
) -> Inspection | None:
    try:
        kept = json.loads(_cache_file(path, distributions, pythonpath).read_text())
        if kept["format"] != _CACHE_FORMAT or kept["stamps"] != _stamps(path, kept["folders"]):
            return None
        how = f"package metadata read by {path}, cached since then unchanged"
        return Inspection(path, kept["python_version"], kept["distributions"], how)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_cache(
    result: Inspection, distributions: tuple[str, ...], pythonpath: str | None, folders: list[str]
) -> None:
    kept = {
        "format": _CACHE_FORMAT,
        "python_version": result.python_version,
        "distributions": dict(result.distributions),
        "folders": folders,
        "stamps": _stamps(result.python, folders),
    }
    target = _cache_file(result.python, distributions, pythonpath)
    # A cache that cannot be written (read-only home, full disk) only costs the next caller time.
    with contextlib.suppress(OSError):
        paths.private_folder(target.parent)
        files.write_atomically(target, json.dumps(kept))
