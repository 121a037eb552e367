"""Writes an instance's files and hands the lock, the leases and the secrets to a new keeper."""

from __future__ import annotations

import json
import os
import secrets as random_source
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import launcher
from launcher import paths
from launcher.errors import PreconditionError
from launcher.instance.prepare import Prepared
from launcher.instance.store import InstanceDir, Lock
from launcher.keeper.state import write_atomically
from launcher.plan.model import LaunchPlan
from launcher.profile.secrets import resolve

KEEPER_DEADLINE = 30.0
"""Seconds in which a keeper's socket must listen; it takes about 0.1 s on an idle machine."""
HANDOVER = "ERNIE_DEPLOY_KEEPER"


@dataclass
class Started:
    """A keeper that was started; closing `link` before it is ready takes the instance down."""

    process: subprocess.Popen[bytes]
    link: socket.socket


def make_temporary() -> Path:
    """A new folder with a short path, mode 0700: engines bind sockets below it (107 characters)."""
    return Path(tempfile.mkdtemp(prefix="ed-", dir="/tmp"))


def write_files(found: InstanceDir, prepared: Prepared) -> None:
    """Store profile and plan; the previous run's history moves to `*.previous`.

    Raises:
        PreconditionError: the disk is full or not writable; earlier files are as they were.
    """
    try:
        paths.private_folder(found.logs / "engine")
        for name in ("events.jsonl", "logs/engine.log", "logs/keeper.log"):
            path = found.folder / name
            if path.exists():
                path.replace(path.with_name(f"{path.name}.previous"))
        _move_engine_logs(found)
        profile = prepared.profile
        write_atomically(found.folder / "profile.yaml", profile.text)
        resolved = json.dumps(dict(profile.resolved), ensure_ascii=False, indent=1)
        write_atomically(found.folder / "profile.json", resolved)
        plan = json.dumps(prepared.plan.to_json(), ensure_ascii=False)
        write_atomically(found.folder / "plan.json", plan)
    except OSError as error:
        raise PreconditionError.of(
            "state-not-writable",
            f"the instance's files cannot be written: {error.strerror}",
            str(error.filename or found.folder),
            "free some disk space, or set ERNIE_DEPLOY_HOME to another folder",
        ) from None


def _move_engine_logs(found: InstanceDir) -> None:
    """FastDeploy appends to its logs across starts; a fresh folder keeps old failures apart."""
    import shutil

    own = found.logs / "engine"
    if any(own.iterdir()):
        shutil.rmtree(found.logs / "engine.previous", ignore_errors=True)
        own.rename(found.logs / "engine.previous")
        own.mkdir(mode=0o700)


def resolve_secrets(plan: LaunchPlan) -> dict[str, str]:
    """The secrets of the plan, by variable.

    Raises:
        PreconditionError: one cannot be resolved.
    """
    return {name: resolve(reference) for name, reference in plan.secrets.items()}


def start(
    found: InstanceDir,
    prepared: Prepared,
    lock: Lock,
    secrets: dict[str, str],
    forced: tuple[str, ...] = (),
) -> Started:
    """Start the keeper in a session of its own and wait until its socket listens.

    Raises:
        PreconditionError: the keeper could not be started.
    """
    ours, theirs = socket.socketpair()
    words, env, descriptors = _handover(found, prepared, lock, secrets, theirs, forced)
    log = os.open(
        found.logs / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    try:
        process = subprocess.Popen(
            words,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=descriptors,
        )
    finally:
        os.close(log)
        theirs.close()
    os.close(descriptors[0])
    ours.settimeout(KEEPER_DEADLINE)
    try:
        said = ours.recv(64)
    except TimeoutError:
        said = b""
    if not said:
        ours.close()
        process.wait()
        tail = (found.logs / "keeper.log").read_text(errors="replace")[-2000:]
        raise PreconditionError.of(
            "keeper-failed", f"the keeper did not start: {tail.strip() or 'it said nothing'}",
            str(found.logs / "keeper.log"),
        )  # fmt: skip
    return Started(process, ours)


def become_keeper(
    found: InstanceDir,
    prepared: Prepared,
    lock: Lock,
    secrets: dict[str, str],
    forced: tuple[str, ...] = (),
) -> None:
    """Turn this process into the keeper (`up --foreground`); does not return."""
    words, env, descriptors = _handover(found, prepared, lock, secrets, None, forced)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(words[0], words, env)  # noqa: S606 - same pid, as systemd and containers expect


def _handover(
    found: InstanceDir,
    prepared: Prepared,
    lock: Lock,
    secrets: dict[str, str],
    link: socket.socket | None,
    forced: tuple[str, ...],
) -> tuple[list[str], dict[str, str], list[int]]:
    """argv, environment and descriptors of the keeper; the first descriptor is the secrets'."""
    read, write = os.pipe()
    os.write(write, json.dumps(secrets).encode())
    os.close(write)
    token = f"{found.name}:{random_source.token_hex(8)}"
    write_atomically(found.folder / "token", token)
    leases = list(prepared.leases.descriptors)
    given = {
        "lock": lock.descriptor,
        "leases": leases,
        "parent": link.fileno() if link else None,
        "secrets": read,
        "token": token,
        "forced": list(forced),
    }
    env = dict(os.environ)
    env[HANDOVER] = json.dumps(given)
    # The checkout or site-packages that holds us, however this process found it.
    env["PYTHONPATH"] = str(Path(launcher.__file__).resolve().parent.parent)
    # One malloc arena: the keeper's short-lived threads would otherwise each leave one behind.
    env["MALLOC_ARENA_MAX"] = "1"
    words = [sys.executable, "-m", "launcher.keeper", str(found.folder)]
    descriptors = [read, lock.descriptor, *leases]
    if link:
        descriptors.append(link.fileno())
    return words, env, descriptors
