"""Room for state, logs and weights."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from launcher import paths
from launcher.doctor.model import GIB, MIB, Check, Outcome, Subject, fail, gib, ok, unknown, warn
from launcher.host import disk
from launcher.profile.model import Profile

STATE_LEAST = 100 * MIB
"""Below this, state and logs of a start may not fit: a full disk breaks a running server too."""


def state(subject: Subject) -> Outcome | None:
    """Room for the state directory and for as much log as the profile lets grow."""
    home = paths.home()
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
    if profile.model_is_path or profile.engine == "hosted":
        return None
    target = download_folder(profile)
    space = disk.space(target)
    size = _published_size(subject)
    summary = f"{gib(space.free)} free on the file system of {target}"
    if size is None:
        return unknown(f"{summary}; the size of {profile.model} is not known here")
    here, have = downloaded(profile)
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


def download_folder(profile: Profile) -> Path:
    """Where the engine puts what it downloads."""
    if profile.cache_dir:
        return Path(profile.cache_dir)
    if profile.engine == "fastdeploy":
        return Path.home()
    # Of the caller's variables an engine sees XDG_CACHE_HOME, but none of the hub's own folders.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    home = profile.env.get("HF_HOME") or str(cache)
    return Path(profile.env.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()


def downloaded(profile: Profile) -> tuple[Path | None, int]:
    """The folder of an earlier download of the model, and the bytes of it that are there."""
    folder = download_folder(profile)
    names = [f"models--{profile.model.replace('/', '--')}"]
    if profile.engine == "fastdeploy":
        # Its hubs but one know Baidu's models under another owner.
        names = [profile.model, profile.model.replace("baidu/", "PaddlePaddle/")]
    for one in names:
        if (folder / one).is_dir():
            snapshots = sorted((folder / one / "snapshots").glob("*"))
            return (snapshots[-1] if snapshots else folder / one), _size(folder / one)
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
    from launcher.engines.fastdeploy.memory import shape_of_table

    shape = shape_of_table(subject.profile.model) if subject.profile else None
    return shape.checkpoint if shape else None


CHECKS = (
    Check(
        "disk-state",
        "there is room for state and logs",
        "FastDeploy's logs have no size limit, and a full disk stops everything on it",
        state,
        needs_profile=False,
    ),
    Check(
        "disk-weights",
        "there is room for the weights that would be downloaded",
        "a download that breaks off leaves a folder that looks complete",
        weights,
    ),
)
