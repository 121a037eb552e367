"""Keeps the engine's own log folder within the profile's bound.

FastDeploy writes every prompt into its logs and has no size limit, only a daily rotation.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from launcher.plan.model import LaunchPlan

FRESH = 3600.0
"""Seconds without a write after which a file is taken for one that was rotated away."""


def bound_engine_logs(plan: LaunchPlan) -> list[str]:
    """Bring the folder below its bound; returns what was done, for the events.

    Old files are removed first, oldest first. If the files still written to are too large by
    themselves, the largest is emptied: loggers append, so they go on at its new end.
    """
    done = []
    files = []
    for path in Path(plan.log_folder).rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                info = path.stat()
                files.append((info.st_mtime, info.st_size, path))
    total = sum(size for _, size, _ in files)
    for changed, size, path in sorted(files):
        if total <= plan.engine_log_max_size or time.time() - changed < FRESH:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
            done.append(f"removed {path.name} ({size} bytes): the engine's logs exceed their bound")
    if total > plan.engine_log_max_size and files:
        _, size, path = max(files, key=lambda item: item[1])
        with contextlib.suppress(OSError):
            os.truncate(path, 0)
            done.append(f"emptied {path.name} ({size} bytes): the engine's logs exceed their bound")
    return done
