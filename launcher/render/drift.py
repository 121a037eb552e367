"""`diff`: whether what runs, and what was rendered, still fits the profile."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher import __version__
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.instance.differences import differences
from launcher.instance.store import instance_dir, view
from launcher.lifecycle import LIVE
from launcher.profile.model import Profile
from launcher.render.header import Header, parse_header
from launcher.render.rendering import read_rendered, render
from launcher.render.subject import fingerprint
from launcher.render.targets import TARGETS
from launcher.result import Result

MOST_FILES = 10_000
"""Files of a folder that are looked at."""
MOST_LINES = 5
"""Lines of a file that are shown."""

DriftState = Literal["same", "differs", "missing", "left-over", "not-running"]


@dataclass(frozen=True)
class DriftRow:
    """One thing that was compared: the instance, or a rendered file; `changes` are for a person."""

    subject: str
    state: DriftState
    changes: tuple[str, ...] = ()

    @property
    def has_drift(self) -> bool:
        """True where it does not fit the profile."""
        return self.state not in ("same", "not-running")


@dataclass(frozen=True)
class Drift:
    """`diff`. `drift`: something does not fit the profile."""

    drift: bool
    rows: tuple[DriftRow, ...]


@dataclass(frozen=True)
class _Group:
    """The files of one rendering: of one target, in one folder."""

    root: Path
    target: str
    release: str
    replicas: int


def drift(profile: Profile, folder: str | None) -> Result[Drift]:
    """Compare the profile with its instance, if that runs, and with the files below `folder`.

    Files of other profiles and files that were not rendered are ignored.

    Raises:
        DeployError: the profile cannot be rendered, or `folder` holds nothing of it.
    """
    rows = [_instance(profile)]
    if folder is not None:
        rows += _files(profile, Path(folder).expanduser())
    has_drift = any(row.has_drift for row in rows)
    problems = [
        Problem("drift", f"{row.subject}: {row.state}", row.subject,
                "`ernie-deploy restart` for an instance, `ernie-deploy render` for a file")
        for row in rows if row.has_drift
    ]  # fmt: skip
    code = ExitCode.NEGATIVE if has_drift else ExitCode.DONE
    return Result("diff", Drift(has_drift, tuple(rows)), profile.name, code, tuple(problems))


def _instance(profile: Profile) -> DriftRow:
    instance = instance_dir(profile.name)
    state, _, _ = view(instance)
    name = f"instance {profile.name}"
    if state not in LIVE:
        return DriftRow(name, "not-running", (f"it is {state}",))
    try:
        changes = tuple(differences(instance, profile))
    except DeployError as error:
        changes = (error.problems[0].message,)
    return DriftRow(name, "differs" if changes else "same", changes)


def _files(profile: Profile, folder: Path) -> list[DriftRow]:
    existing = list(_rendered_files(profile, folder))
    if not existing:
        raise PreconditionError.of(
            "nothing-rendered", f"{folder} holds no file that was rendered of {profile.name}",
            str(folder), f"`ernie-deploy render TARGET PROFILE -o {folder}`",
        )  # fmt: skip
    groups: dict[_Group, dict[str, tuple[Header, str]]] = {}
    for path, header, text in existing:
        root = Path(str(path)[: -len(header.file)] or ".")
        group = _Group(root, header.target, header.release, header.replicas)
        groups.setdefault(group, {})[header.file] = (header, text)
    return [row for group, texts in groups.items() for row in _group(profile, group, texts)]


def _group(
    profile: Profile, group: _Group, texts: dict[str, tuple[Header, str]]
) -> Iterator[DriftRow]:
    again = render(group.target, profile, version=group.release, replicas=group.replicas)
    expected = {one.path: one.text for one in again.files}
    for path in sorted({*expected, *texts}):
        subject = str(group.root / path)
        if path not in texts:
            yield DriftRow(subject, "missing")
        elif path not in expected:
            yield DriftRow(subject, "left-over", ("the profile renders no such file any more",))
        elif texts[path][1] == expected[path]:
            yield DriftRow(subject, "same")
        else:
            header, text = texts[path]
            yield DriftRow(subject, "differs", _changes(profile, header, text, expected[path]))


def _changes(profile: Profile, header: Header, text: str, expected: str) -> tuple[str, ...]:
    """Why a file differs: a profile or a tool that changed, or an edit, and the first lines."""
    reasons = []
    if header.fingerprint != fingerprint(profile):
        reasons.append("the profile has changed since it was rendered")
    if header.tool != __version__:
        reasons.append(f"rendered by {header.tool}, this is {__version__}")
    if not reasons:
        reasons.append("the file was edited")
    pairs = itertools.zip_longest(text.split("\n"), expected.split("\n"))
    lines = [
        f"line {number}: {old!r}, expected {new!r}"
        for number, (old, new) in enumerate(pairs, 1)
        if old != new and not (old or "").startswith("# ernie-deploy-render")
    ]
    more = [f"and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return (*reasons, *lines[:MOST_LINES], *more)


def _rendered_files(profile: Profile, folder: Path) -> Iterator[tuple[Path, Header, str]]:
    """The files below `folder` that were rendered of this profile's name, in order of their path.

    Raises:
        PreconditionError: the folder cannot be read, or has too many files to look for them.
    """
    count = 0
    for here, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise PreconditionError.of(
                    "folder-too-large", f"{folder} has more than {MOST_FILES} files", str(folder),
                    "name the folder that `ernie-deploy render -o` wrote",
                )  # fmt: skip
            path = Path(here, name)
            text = None if path.is_symlink() or not path.is_file() else read_rendered(path)
            header = parse_header(text) if text is not None else None
            if text is None or header is None or header.name != profile.name:
                continue
            if header.target in TARGETS and str(path).endswith(header.file):
                yield path, header, text


def _refuse(error: OSError) -> None:
    raise PreconditionError.of(
        "folder-not-readable", f"{error.filename} cannot be read: {error.strerror}",
        str(error.filename), "name the folder that `ernie-deploy render -o` wrote",
    ) from None  # fmt: skip
