"""What dead servers have left on this machine."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from launcher.doctor.model import Check, Outcome, Subject, host_of, ok, warn
from launcher.host import processes, sockets
from launcher.host.memory import SHM
from launcher.host.network import trace
from launcher.preparation.owners import Owner

_WORKER = re.compile(rb"fastdeploy[/.]worker[/.]worker_process|fastdeploy/cache_manager/|VLLM::")
_SERVER = re.compile(rb"api_server|gunicorn|vllm")
"""The front ends whose workers these are."""


def segments(subject: Subject) -> Outcome | None:
    """FastDeploy's names below /dev/shm whose port no process mentions any more."""
    # Names first, the living afterwards: a server that starts in between is not accused. The
    # latest death is what a reader wants to know of.
    names = sorted(os.listdir(SHM), key=_changed, reverse=True)
    alive, bound = _ports_in_use(), {one.path for one in sockets.unix_sockets()}
    dead = []
    for name in names:
        traced = trace(name)
        if traced is not None and traced.port not in alive and f"{SHM}/{name}" not in bound:
            dead.append((name, traced.port))
    used = _in_use({f"{SHM}/{name}" for name, _ in dead}) if dead else set()
    own: dict[Owner, None] = {}
    removable, foreign, checked = [], [], []
    for name, port in dead:
        path = f"{SHM}/{name}"
        owner, uid = host_of(subject).owners.of_file(path, port), _uid(path)
        if uid is None or path in used or (owner is not None and not owner.is_dead):
            continue
        checked.append(name)
        if owner is not None:
            own[owner] = None
        elif uid != os.geteuid():
            foreign.append(f"{name} belongs to uid {uid}")
        else:
            removable.append(path)
    if not checked:
        return ok(f"no trace of a dead server in {SHM}")
    evidence = f"{_first(checked)}: no process that can be seen from here has that port"
    if own:
        evidence += f"; that is {' and '.join(owner.describe() for owner in own)}"
    if foreign:
        evidence += f"; {_first(foreign)}"
    remedies = [f"`{owner.down()}`" for owner in own]
    if removable:
        remedies.append(
            f"rm -- {shlex.join(removable)}"
            f" (where containers share this {SHM}, look for their servers first)"
        )
    if foreign:
        remedies.append("ask those users to remove what belongs to them")
    return warn(evidence, "; ".join(remedies))


def orphans(subject: Subject) -> Outcome | None:
    """Workers whose parent is gone: they hold GPU memory and queue ports for good."""
    pids = []
    for pid in processes.pids():
        if not _WORKER.search(processes.raw_command_line(pid)):
            continue
        process = processes.look(pid)
        # In a container the server itself may be process 1.
        if process and process.parent == 1 and process.state != "Z" and not _is_server(1):
            pids.append(pid)
    owners = {pid: host_of(subject).owners.of_process(pid) for pid in pids}
    # One of a living instance is its keeper's to look after.
    pids = [pid for pid in pids if (owner := owners[pid]) is None or owner.is_dead]
    if not pids:
        return ok("no worker without a parent")
    own = list(dict.fromkeys(owner for pid in pids if (owner := owners[pid]) is not None))
    unowned = [pid for pid in pids if owners[pid] is None]
    evidence = f"workers without a parent: pid {', '.join(str(pid) for pid in pids)}"
    if own:
        evidence += f"; that is {' and '.join(owner.describe() for owner in own)}"
    remedies = [f"`{owner.down()}`" for owner in own]
    if unowned:
        listed = ",".join(str(pid) for pid in unowned)
        remedies.append(f"look at them (ps -o pid,user,lstart,args -p {listed})")
        ours = [str(pid) for pid in unowned if processes.uid(pid) == os.geteuid()]
        if ours:
            remedies.append(f"if no server of theirs runs: kill {' '.join(ours)}")
    return warn(evidence, "; ".join(remedies))


def _first(texts: list[str]) -> str:
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def _uid(path: str) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def _in_use(paths: set[str]) -> set[str]:
    """Those of `paths` that some process has open or mapped, as far as we may look."""
    used: set[str] = set()
    for pid in processes.pids():
        mapped = processes.maps(pid)
        if os.fsencode(SHM) in mapped:
            used |= {path for path in paths if os.fsencode(f" {path}\n") in mapped}
        used |= {target for _, target in processes.open_files(pid) if target in paths}
    return used


def _is_server(pid: int) -> bool:
    return bool(_SERVER.search(processes.raw_command_line(pid)))


def _changed(name: str) -> float:
    try:
        return Path(SHM, name).lstat().st_mtime
    except OSError:
        return 0.0


def _ports_in_use() -> set[int]:
    """Every number that stands as a word in the command line of a FastDeploy process."""
    numbers: set[int] = set()
    for pid in processes.pids():
        raw = processes.raw_command_line(pid)
        if b"fastdeploy" in raw or b"gunicorn" in raw:
            numbers |= {int(word) for word in re.findall(rb"\b\d{2,5}\b", raw)}
    # A server renames itself (gunicorn); what listens is alive whatever it is called.
    return numbers | {one.port for one in sockets.listeners()}


CHECKS = (
    Check(
        "shm-leftovers",
        "no traces of dead servers in /dev/shm",
        "they fill it up, and a socket of that name keeps a new server from binding it",
        segments,
        "leftovers",
        needs_profile=False,
    ),
    Check(
        "orphan-workers",
        "no workers of dead servers are alive",
        "they hold GPU memory and ports for good (FastDeploy#5721)",
        orphans,
        "leftovers",
        needs_profile=False,
    ),
)
