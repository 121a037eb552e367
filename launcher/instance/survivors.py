"""Processes of an instance, found without its files: they may be deleted while it lives.

A keeper is known by its command line, which names the folder; an engine's process by its
environment, which names the folder and the start. Only processes of our own user are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.host import processes
from launcher.host.processes import parse_environment
from launcher.keeper.identity import (
    FOLDER_VARIABLE,
    LEFTOVERS_VARIABLE,
    TOKEN_VARIABLE,
    Process,
    environment,
    look,
)
from launcher.keeper.state import State
from launcher.preparation.keepers import kept_folder

if TYPE_CHECKING:
    from launcher.keeper.mark import Mark

MARK = b"ERNIE_DEPLOY_"
"""Begins the names of the variables by which keepers are handed their task, engines marked."""
_ENGINE = (TOKEN_VARIABLE, FOLDER_VARIABLE, LEFTOVERS_VARIABLE, "TMPDIR")


@dataclass(frozen=True)
class Survivor:
    """A living process of an engine."""

    process: Process
    folder: str
    token: str
    temporary: str | None
    """Its TMPDIR: the private folder of that start."""
    leftovers: str
    """What its start may leave, as it was told (`launcher.keeper.mark`); empty where it was not."""


def keeper_of(folder: Path, state: State | None = None) -> Process | None:
    """The living keeper of the instance in `folder`, whatever became of its files.

    Where `state` records it, that process is looked at first.
    """
    recorded = state.keeper if state is not None else None
    if recorded is not None:
        process = look(recorded.pid)
        if process is not None and process.start == recorded.start and _keeps(process, folder):
            return process
    return next((process for process in _own() if _keeps(process, folder)), None)


def folder_kept_by(process: Process) -> str | None:
    """The folder of the instance whose keeper this is; None where it is not a keeper."""
    if process.state in "ZX":
        return None
    return kept_folder(process.pid)


def engine_of(folder: Path) -> list[Survivor]:
    """The living processes of engines that were started for the instance in `folder`."""
    real_folder = os.path.realpath(folder)
    return [one for one in _engines(_own()) if os.path.realpath(one.folder) == real_folder]


def mark_of(folder: Path, token: str) -> Mark | None:
    """What a living process of that start was told of what it may leave; None without one."""
    from launcher.keeper import mark  # it needs the whole launch plan; `status` does not

    leftovers = (mark.decode(one.leftovers) for one in engine_of(folder) if one.token == token)
    return next((one for one in leftovers if one is not None), None)


def names(instances: Path, known: Collection[str] = ()) -> set[str]:
    """The names of all instances below `instances` of which a process lives, but for the `known`.

    Nothing of a process is read that cannot change the answer: there are hundreds.
    """
    living: set[str] = set()
    real_folder = os.path.realpath(instances)
    for pid in processes.pids():
        variables = processes.raw_environment(pid) if pid != os.getpid() else b""
        if MARK not in variables:
            continue
        folders = (kept_folder(pid), _engine_folder(parse_environment(variables, _ENGINE)))
        new = {
            os.path.basename(folder)
            for folder in folders
            if folder is not None
            and os.path.basename(folder) not in known
            and os.path.realpath(os.path.dirname(folder)) == real_folder
        }
        process = look(pid) if new else None
        if process is not None and process.state not in "ZX":
            living |= new
    return living


def is_same_folder(one: str | Path, other: str | Path) -> bool:
    """Whether both paths lead to the same folder, which need not exist any more."""
    return str(one) == str(other) or os.path.realpath(one) == os.path.realpath(other)


def _keeps(process: Process, folder: Path) -> bool:
    kept = folder_kept_by(process)
    return kept is not None and is_same_folder(kept, folder)


def _own() -> Iterator[Process]:
    """Living processes that an `up` or a keeper has marked; only our own can be read."""
    for pid in processes.pids():
        if pid == os.getpid():
            continue
        process = look(pid) if MARK in processes.raw_environment(pid) else None
        if process is not None and process.state not in "ZX":
            yield process


def _engines(marked: Iterable[Process]) -> Iterator[Survivor]:
    for process in marked:
        variables = environment(process.pid, _ENGINE)
        folder = _engine_folder(variables)
        if folder is not None:
            leftovers = variables.get(LEFTOVERS_VARIABLE, "")
            token = variables[TOKEN_VARIABLE]
            yield Survivor(process, folder, token, variables.get("TMPDIR"), leftovers)


def _engine_folder(variables: Mapping[str, str]) -> str | None:
    """The folder of the instance whose engine has these variables; None where it is none."""
    token, folder = variables.get(TOKEN_VARIABLE), variables.get(FOLDER_VARIABLE)
    if token and folder and token.startswith(f"{os.path.basename(folder)}:"):
        return folder
    return None
