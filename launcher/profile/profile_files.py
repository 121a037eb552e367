"""Where the files of profiles are: beside another one, here, or among those that ship."""

from __future__ import annotations

import os

from launcher import paths
from launcher.errors import Problem
from launcher.nearest import nearest
from launcher.profile.nodes import SourceError

SUFFIXES = (".yaml", ".yml")


def shipped_profiles() -> dict[str, str]:
    """File name to path of every profile that ships."""
    folder = paths.shipped("profiles")
    all_paths = sorted(folder.glob("*.yaml")) + sorted((folder / "hosted").glob("*.yaml"))
    return {p.relative_to(folder).as_posix(): str(p) for p in all_paths}


def find_base(name: str, folder: str) -> str | None:
    """The file that `extends: name` means in a file of `folder`."""
    expanded = os.path.expanduser(name)
    near = expanded if os.path.isabs(expanded) else os.path.join(folder, expanded)
    return _first_file(near) or _shipped(name)


def find_profile(path: str) -> str:
    """`path`, or the shipped profile of that name if the file does not exist here.

    Raises:
        SourceError: neither exists; names the nearest.
    """
    expanded = os.path.expanduser(path)
    if os.path.exists(expanded):
        return expanded
    shipped = _shipped(path)
    if shipped is not None:
        return shipped
    near = nearest_file(expanded, "")
    raise SourceError(
        Problem(
            "missing-profile",
            f"file not found: {path}",
            path,
            f"did you mean {near}?" if near else "`ernie-deploy profiles list` shows what ships",
        )
    )


def nearest_file(name: str, folder: str) -> str | None:
    """The file whose name looks most like `name`: beside it (from `folder`), or shipped."""
    head, tail = os.path.split(name)
    try:
        beside = [f for f in os.listdir(os.path.join(folder, head) or ".") if f.endswith(SUFFIXES)]
    except (OSError, ValueError):
        beside = []
    file_name = tail if tail.endswith(SUFFIXES) else f"{tail}.yaml"
    near = nearest(file_name, [*beside, *shipped_profiles()], cutoff=0.7)
    return os.path.join(head, near) if near in beside and near is not None else near


def _shipped(name: str) -> str | None:
    if os.path.isabs(name) or name.startswith((".", "~")):
        return None
    # `profiles/NAME` is how it is called in a checkout, whose README is read elsewhere too.
    return _first_file(str(paths.shipped("profiles", name.removeprefix("profiles/"))))


def _first_file(path: str) -> str | None:
    if "\0" in path:
        return None
    return next((p for p in (path, *(path + s for s in SUFFIXES)) if os.path.isfile(p)), None)
