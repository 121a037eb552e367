"""`render`: a profile as the files of a target, shown or written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launcher import files, paths
from launcher.errors import PreconditionError, UsageError
from launcher.profile.model import Profile
from launcher.render.header import parse_header, with_header
from launcher.render.settings import read_settings
from launcher.render.subject import collect
from launcher.render.targets import TARGETS
from launcher.result import Result

LONGEST_FILE = 1024 * 1024
"""Bytes of a rendered file that is read back."""


@dataclass(frozen=True)
class RenderedFile:
    """`path` is below the folder of the target; `text` is the whole file with its header."""

    path: str
    text: str


@dataclass(frozen=True)
class Rendered:
    """`render`. `folder` is where the files were written; None: they are only shown."""

    target: str
    release: str
    files: tuple[RenderedFile, ...]
    folder: str | None = None


def render(
    target: str, profile: Profile, *, version: str | None = None, replicas: int | None = None
) -> Rendered:
    """The files of `target` for the profile; nothing is written, leased or started.

    `version` is the engine's release; None: the one that `engine install` would install. Without
    `replicas` there are as many as the profile's service has, where the target has several.

    Raises:
        ProfileError: the profile is wrong for the release.
        PreconditionError: it cannot be rendered: hosted, or its release is not known.
        UsageError: the target has one replica only.
    """
    chosen = TARGETS[target]
    if replicas is None:
        several = profile.service is not None and not chosen.one_replica
        replicas = profile.service.replicas if profile.service and several else 1
    if chosen.one_replica and replicas > 1:
        raise UsageError.of(
            "usage", f"{target} has no replicas: each is a file of its own", "--replicas",
            f"render it once for each: `--name {profile.name}-2 --set ports.api=8280`",
        )  # fmt: skip
    _check_shape(target, profile)
    subject = collect(profile, chosen.place, version=version, replicas=replicas)
    rendered = tuple(
        RenderedFile(path, with_header(subject, target, path, text))
        for path, text in chosen.render(subject).items()
    )
    return Rendered(target, subject.release, rendered)


def _check_shape(target: str, profile: Profile) -> None:
    """Refuse what would be rendered as something else.

    Raises:
        PreconditionError: `group-not-rendered`, or `several-nodes`.
    """
    if profile.service is not None and profile.service.group is not None:
        raise PreconditionError.of(
            "group-not-rendered", "a replica of this profile is a group of instances with a router,"
            " which `deploy` starts on one machine", profile.where("service.group"),
            f"`ernie-deploy render {target} PROFILE --set service.group=null` renders servers that"
            " prefill and decode themselves",
        )  # fmt: skip
    if (read_settings(profile).nodes or 1) > 1 and not TARGETS[target].several_nodes:
        raise PreconditionError.of(
            "several-nodes", f"{target} starts each server on one node",
            profile.where("render.nodes"),
            "render kubernetes; or start the same profile with `engine-args: {ips: ...}` on each"
            " node by hand",
        )  # fmt: skip


def write(rendered: Rendered, folder: str, name: str) -> Result[Rendered]:
    """Write the files below `folder`; all or none where one of them is not ours.

    Raises:
        PreconditionError: a file there was not rendered, or the folder cannot be written.
    """
    root = Path(folder).expanduser()
    for one in rendered.files:
        path = root / one.path
        if path.is_symlink() or (path.exists() and not _is_rendered(path)):
            raise PreconditionError.of(
                "file-not-rendered", f"{path} was not written by `ernie-deploy render`", str(path),
                "choose another folder with -o, or move the file away",
            )  # fmt: skip
    try:
        for one in rendered.files:
            path = root / one.path
            path.parent.mkdir(parents=True, exist_ok=True)
            paths.write_file(path, one.text)
    except OSError as error:
        raise PreconditionError.of(
            "folder-not-writable", f"{error.filename or root} cannot be written: {error.strerror}",
            str(root), "choose another folder with -o",
        ) from None  # fmt: skip
    result = Rendered(rendered.target, rendered.release, rendered.files, str(root))
    return Result("render", result, name)


def read_rendered(path: Path) -> str | None:
    """The text of a file that may be a rendered one; None where it is none of text, or too long."""
    try:
        return files.read_input(path, LONGEST_FILE, 1.0).decode()
    except (OSError, UnicodeDecodeError):
        return None


def _is_rendered(path: Path) -> bool:
    text = read_rendered(path)
    return text is not None and parse_header(text) is not None
