"""Our own cgroup v2, and whether a cgroup for an engine can be made below it.

cgroups v1 is of no use here: it has neither `cgroup.kill` nor one tree for all controllers. On a
hybrid machine v2 is mounted beside it, often without the memory controller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from launcher.host import processes

KEEPER_LEAF = "ernie-deploy-keeper"
"""Where a keeper goes when it has to leave its cgroup: one with processes in it cannot give its
controllers to those below (the rule of "no internal processes")."""
_LONGEST = 4 * 1024 * 1024
"""Bytes read of a file; a cgroup has as many lines as processes."""


@dataclass(frozen=True)
class CgroupSupport:
    """Where the cgroup of an engine would be made; `folder` is None where none can be.

    `memory` is True where it can have a limit of memory. `message` says which of these, and why.
    """

    folder: Path | None
    memory: bool
    message: str


def support() -> CgroupSupport:
    """What a server that is started by this process could have."""
    folder = base_folder()
    if folder is None:
        return CgroupSupport(None, False, "cgroup v2 is not mounted here")
    for path in (folder, folder / "cgroup.procs"):
        if not os.access(path, os.W_OK):
            return CgroupSupport(None, False, f"{path} cannot be written")
    kind = _text(folder / "cgroup.type").strip()
    if kind not in ("", "domain"):
        return CgroupSupport(None, False, f"{folder} is a cgroup of threads ({kind})")
    if "memory" not in words(folder / "cgroup.controllers"):
        return CgroupSupport(folder, False, f"below {folder}, which has no memory controller")
    if not (_gives(folder, "memory") or _is_alone(folder, kind)):
        message = f"below {folder}, which cannot pass its memory controller on: it has processes"
        return CgroupSupport(folder, False, message)
    return CgroupSupport(folder, True, f"below {folder}, with the memory controller")


def base_folder() -> Path | None:
    """The folder of our own cgroup v2; None where there is none, or it cannot be found.

    A keeper that has gone to a leaf of its own (`KEEPER_LEAF`) answers with the parent of that.
    """
    folder = folder_of(os.getpid())
    if folder is None or os.getpid() not in pids(folder):
        return None  # a mount of another namespace: its paths are not ours
    return folder.parent if folder.name == KEEPER_LEAF else folder


def folder_of(pid: int) -> Path | None:
    """The folder of a process's cgroup v2, that of a zombie too; None where it cannot be found."""
    lines = processes.cgroups(pid)
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    mount = _mount()
    if path is None or mount is None or path.startswith("/.."):
        return None
    root, point = mount
    if root != "/":
        if path != root and not path.startswith(f"{root}/"):
            return None
        path = path[len(root) :]
    return point / path.removesuffix(" (deleted)").lstrip("/")


def pids(folder: Path) -> set[int]:
    """The processes directly in a cgroup; 0 stands for those of a pid namespace we cannot see."""
    return {int(word) for word in words(folder / "cgroup.procs") if word.isdigit()}


def words(path: Path) -> list[str]:
    """The words of a cgroup's file; none where it cannot be read."""
    return _text(path).split()


def _gives(folder: Path, controller: str) -> bool:
    return controller in words(folder / "cgroup.subtree_control")


def _is_alone(folder: Path, kind: str) -> bool:
    """True where the controllers could be passed on: in the root, or with no process but us."""
    return not kind or pids(folder) <= {os.getpid()}


def _mount() -> tuple[str, Path] | None:
    """(path within the hierarchy, where that is mounted) of cgroup v2."""
    for line in processes.own_mounts():
        fields, _, rest = line.partition(" - ")
        columns = fields.split(" ")
        if rest.startswith("cgroup2 ") and len(columns) > 4:
            return _unescaped(columns[3]), Path(_unescaped(columns[4]))
    return None


def _unescaped(text: str) -> str:
    r"""A path of mountinfo, in which a space is `\040`."""
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{code}", character)
    return text


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_LONGEST).decode(errors="replace")
    except OSError:
        return ""
