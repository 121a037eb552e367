"""Room for state, logs and weights."""

from __future__ import annotations

from pathlib import Path

from launcher import paths
from launcher.doctor.model import GIB, MIB, Check, Outcome, Subject, fail, gib, ok, unknown, warn
from launcher.host import disk

STATE_LEAST = 100 * MIB
"""Below this, state and logs of a start may not fit: a full disk breaks a running server too."""


def state(subject: Subject) -> Outcome | None:
    """Room for the state directory and for as much log as the profile lets grow."""
    home = paths.home()
    found = disk.space(home)
    said = f"{gib(found.free)} free on the file system of {home}"
    if not disk.writable(home):
        return fail(f"{home} cannot be written", f"chown or chmod {found.path}, or set "
                    "ERNIE_DEPLOY_HOME to another folder")  # fmt: skip
    if found.free < STATE_LEAST:
        return fail(said, f"df -h {found.path}; free space or set ERNIE_DEPLOY_HOME elsewhere")
    profile = subject.profile
    if profile is not None:
        bound = profile.logs.engine_max_size + profile.logs.max_size * (profile.logs.keep + 1)
        if found.free < bound:
            return warn(
                f"{said}; logs may grow to {gib(bound)}",
                "lower logs.engine-max-size in the profile, or free space",
            )
    return ok(said)


def weights(subject: Subject) -> Outcome | None:
    """A hub id is downloaded by the engine, into cache-dir or the home folder."""
    profile = subject.profile
    if profile is None:
        return None
    if profile.model_is_path or profile.engine == "hosted":
        return None
    target = Path(profile.cache_dir or profile.env.get("FD_MODEL_CACHE") or Path.home())
    found = disk.space(target.expanduser())
    size = _published_size(subject)
    said = f"{gib(found.free)} free on the file system of {target}"
    if size is None:
        return unknown(f"{said}; the size of {profile.model} is not known here")
    if found.free < size:
        return fail(
            f"{said}; {profile.model} takes about {gib(size)}",
            "set `cache-dir` in the profile to a larger file system",
        )
    if found.free < size + 5 * GIB:
        return warn(f"{said}; {profile.model} takes about {gib(size)}", "free space")
    return ok(f"{said}; {profile.model} takes about {gib(size)}")


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
