"""Runs pip and the engines' own checks: with progress, a log, and no process left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import files
from launcher.environments.progress import Progress

_TAIL = 400
_PR_SET_PDEATHSIG = 1
_BUSY = re.compile(
    r"^\s*(?P<what>Collecting|Downloading|Using cached|Processing|Building wheels? for|"
    r"Installing collected packages:)\s+(?P<which>.*)$"
)
_CREDENTIALS = re.compile(r"(?P<scheme>://)[^/@\s]+@")


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit status and its last lines (stdout and stderr together)."""

    rc: int
    lines: tuple[str, ...]
    timed_out: bool = False

    def reason(self) -> str:
        """The line that says most about why it failed."""
        errors = [line.strip() for line in self.lines if line.lstrip().startswith("ERROR:")]
        if errors:
            return " ".join(errors[-2:]).replace("ERROR: ", "")
        spoken = [line.strip() for line in self.lines if line.strip()]
        return spoken[-1] if spoken else f"exit code {self.rc}"


def redact(text: str) -> str:
    """`text` without user names and passwords in URLs."""
    return _CREDENTIALS.sub(r"\g<scheme>***@", text)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without what would lead another interpreter or pip astray.

    The user's PIP_* configuration stays, but for what would install elsewhere than asked.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"):
        env.pop(name, None)
    env.update(PIP_USER="0", PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    env.update(extra or {})
    return env


def run(
    argv: list[str],
    *,
    log: Path,
    progress: Progress,
    env: Mapping[str, str] | None = None,
    deadline: float | None = None,
) -> Finished:
    """Run `argv`, its output appended to `log`, until it ends or `deadline` seconds passed.

    The command and all it started are gone when this returns or raises, also on Ctrl-C; the
    kernel ends the command itself should we be killed.
    """
    tail: list[str] = []
    end = None if deadline is None else time.monotonic() + deadline
    timed_out = False
    with log.open("ab") as record:
        record.write(redact(f"$ {' '.join(argv)}\n").encode())
        record.flush()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(env),
            cwd="/",
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        try:
            for line in _lines(process, end, progress.tick):
                record.write(f"{redact(line)}\n".encode())
                tail = [*tail[-_TAIL:], redact(line)]
                busy = _BUSY.match(line)
                if busy:
                    progress.detail(_short(busy["what"], busy["which"]))
            left = 10.0 if end is None else max(0.1, end - time.monotonic())
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=left)
            timed_out = process.returncode is None
        finally:
            _end(process)
    return Finished(process.returncode, tuple(tail), timed_out)


def _short(what: str, which: str) -> str:
    if what.startswith("Installing"):
        return f"unpacking {len(which.split(', '))} packages"
    name = which.rsplit("/", 1)[-1] if what in ("Processing", "Downloading") else which
    return f"{what} {name.partition(' (from ')[0]}"


def _lines(
    process: subprocess.Popen[bytes], end: float | None, tick: Callable[[], None]
) -> Iterator[str]:
    """Lines of a process as they come, with a tick at least twice a second."""
    assert process.stdout is not None  # noqa: S101
    rest = b""
    while end is None or time.monotonic() < end:
        tick()
        if not files.wait_until_ready(process.stdout.fileno(), 0.5):
            # A daemon that a package started may hold the pipe after the command has ended.
            if process.poll() is not None:
                break
            continue
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            break
        *complete, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        yield from (line.decode(errors="replace") for line in complete)
    if rest:
        yield rest.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the process and its group are gone."""
    assert process.stdout is not None  # noqa: S101
    for sent, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
        if process.returncode is not None:
            break
        # Not reaped yet, so the number is still this process's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
    process.stdout.close()


def die_with_parent() -> Callable[[], None]:
    """A `preexec_fn` by which the kernel ends the process with the thread that started it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return before_exec
