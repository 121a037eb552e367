"""Log files and console lines, in the shape of fastdeploy/logger.

``<name>.log`` is a symlink to ``<name>.log.YYYY-MM-DD``; ``<name>_error.log`` holds WARNING and
above of the same logger. Warnings and errors carry ANSI colours, in files too. Nothing is buffered:
a forked or killed process loses no line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time

from fastdeploy._twin import release
from fastdeploy._twin.faults import fault

SERVER_LOGGERS = (
    "api_server",
    "console",
    "fastdeploy",
    "data_processor",
    "cache_manager",
    "cache_queue_manager",
    "config",
    "scheduler",
    "trace",
    "zmq_client",
    "splitwise_connector",
    "router",
    "pooler",
    "speculate",
    "fmq",
    "internal_adapter_utils",
    "transformer_config",
)
WORKER_LOGGERS = (
    "worker_process",
    "gpu_worker",
    "gpu_model_runner",
    "model_runner_base",
    "cudagraph_piecewise_backend",
)
COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}


def folder() -> str:
    return os.environ.get("FD_LOG_DIR") or "log"


def open_folder(names: tuple[str, ...]) -> None:
    """Create the folder and every logger's files.

    Raises:
        FileNotFoundError: releases 2.0 and 2.1 create one level only.
    """
    if not os.path.isdir(folder()):
        if release.at_least("2.2"):
            os.makedirs(folder(), exist_ok=True)
        else:
            os.mkdir(folder())
    for name in names:
        _append(name, "")
        if release.at_least("2.2"):
            _append(f"{name}_error", "")


def line(level: str, source: str, number: int, message: str) -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    text = (
        f"{level:<8} {stamp},{int(now * 1000) % 1000:03d} {os.getpid():<5} "
        f"{source}[line:{number}] {message}"
    )
    colour = COLOURS.get(level)
    return f"{colour}{text}\x1b[0m" if colour else text


def log(name: str, message: str, source: str, number: int, level: str = "INFO") -> str:
    text = line(level, source, number, message) + "\n"
    _append(name, text)
    if fault("root-logger-prints") and release.at_least("2.6"):
        stderr(text)
    if level != "INFO" and release.at_least("2.2"):
        _append(f"{name}_error", text)
    return text


def console(message: str, source: str, number: int, level: str = "INFO") -> None:
    """A console line: on stderr and in console.log."""
    stderr(log("console", message, source, number, level))


def stderr(text: str) -> None:
    """Write as the logging module does: a reader that went away is not noticed."""
    with contextlib.suppress(BrokenPipeError):
        write(text)


def gunicorn(message: str, level: str = "INFO") -> None:
    """A line of gunicorn's error log; uvicorn, which it runs, writes there as well."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime())
    stderr(f"[{stamp}] [{os.getpid()}] [{level}] {message}\n")


def is_unread() -> bool:
    """True where file descriptor 2 is a pipe without a reader."""
    poller = select.poll()
    poller.register(2, 0)
    return any(events & select.POLLERR for _, events in poller.poll(0))


def write(text: str) -> None:
    """Write to file descriptor 2.

    Raises:
        BrokenPipeError: no reader is left; tqdm does not catch that, so a load ends there.
    """
    raw = text.encode("utf-8", "replace")
    while raw:
        raw = raw[os.write(2, raw) :]


def _append(name: str, text: str) -> None:
    base = os.path.join(folder(), f"{name}.log")
    dated = f"{base}.{time.strftime('%Y-%m-%d')}"
    handle = os.open(dated, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, text.encode("utf-8", "replace"))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # the logging module tells stderr and goes on
        stderr(f"--- Logging error ---\nOSError: {error}\n")
    finally:
        os.close(handle)
    if not os.path.islink(base):
        # another process of the same server made it first
        with contextlib.suppress(FileExistsError):
            os.symlink(os.path.basename(dated), base)


def bar(title: str, percent: int, seconds: float) -> str:
    """One tqdm frame: a carriage return, no newline."""
    filled = "#" * (percent // 10)
    spent = f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
    return f"\r{title}: {percent:3d}%|{filled:<10}| {percent}/100 [{spent}<?, ?it/s]"
