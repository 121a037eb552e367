"""Room for state, logs and weights."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from launcher import engines, paths
from launcher.doctor.model import (
    GIB,
    MIB,
    Check,
    Outcome,
    Subject,
    engine_of,
    fail,
    gib,
    ok,
    unknown,
    warn,
)
from launcher.engines.doctor_checks import Download
from launcher.host import disk

STATE_LEAST = 100 * MIB
"""Below this, state and logs of a start may not fit: a full disk breaks a running server too."""


def state(subject: Subject) -> Outcome | None:
    """Room for the state directory and for as much log as the profile lets grow."""
    home = paths.home()
    if (home / "instances").is_dir():
        # In a container only this folder is written: a volume in a read-only file system.
        home = home / "instances"
    space = disk.space(home)
    summary = f"{gib(space.free)} free on the file system of {home}"
    if not disk.writable(home):
        return fail(f"{home} cannot be written", f"chown or chmod {space.path}, or set "
                    "ERNIE_DEPLOY_HOME to another folder")  # fmt: skip
    if space.free < STATE_LEAST:
        return fail(summary, f"df -h {space.path}; free space or set ERNIE_DEPLOY_HOME elsewhere")
    profile = subject.profile
    if profile is not None:
        bound = profile.logs.engine_max_size + profile.logs.max_size * (profile.logs.keep + 1)
        if space.free < bound:
            return warn(
                f"{summary}; logs may grow to {gib(bound)}",
                "lower logs.engine-max-size in the profile, or free space",
            )
    return ok(summary)


def weights(subject: Subject) -> Outcome | None:
    """A hub id is downloaded by the engine, into cache-dir or the home folder."""
    profile = subject.profile
    if profile is None:
        return None
    download = subject.needs.download
    if profile.model_is_here or download is None:
        return None
    target = download.folder
    space = disk.space(target)
    size = _published_size(subject)
    summary = f"{gib(space.free)} free on the file system of {target}"
    if size is None:
        return unknown(f"{summary}; the size of {profile.model} is not known here")
    here, have = downloaded(download)
    if here is not None:
        summary += f"; {gib(have)} are in {here} already"
    summary += f"; {profile.model} takes about {gib(size)}"
    # The size is that of the table, to the nearest billion of weights.
    missing = 0 if have > size * 0.95 else size - have
    if space.free < missing:
        return fail(summary, "set `cache-dir` in the profile to a larger file system")
    if missing and space.free < missing + 5 * GIB:
        return warn(summary, "free space")
    return ok(summary)


def downloaded(download: Download) -> tuple[Path | None, int]:
    """The folder of an earlier download of the model, and the bytes of it that are there."""
    for name in download.names:
        path = download.folder / name
        if path.is_dir():
            snapshots = sorted((path / "snapshots").glob("*"))
            return (snapshots[-1] if snapshots else path), _size(path)
    return None, 0


def _size(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                # A snapshot's links lead to files that are counted where they lie.
                total += Path(base, name).lstat().st_size
    return total


def _published_size(subject: Subject) -> int | None:
    """Bytes of a published model: of its own engine's table, else of another one's."""
    own = engine_of(subject)
    if subject.profile is None or own is None:
        return None
    for engine in (own, *engines.every()):
        shape = engine.memory.shape_of_table(subject.profile.model) if engine.memory else None
        if shape is not None:
            return shape.checkpoint
    return None


CHECKS = (
    Check(
        "disk-state",
        "there is room for state and logs",
        "FastDeploy's logs have no size limit, and a full disk stops everything on it",
        state,
        "disk",
        needs_profile=False,
    ),
    Check(
        "disk-weights",
        "there is room for the weights that would be downloaded",
        "a download that breaks off leaves a folder that looks complete",
        weights,
        "disk",
    ),
)
