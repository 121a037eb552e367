"""Writes an instance's files and hands the lock, the leases and the secrets to a new keeper."""

from __future__ import annotations

import json
import os
import re
import secrets as random_source
import shutil
import socket
import string
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import launcher
from launcher import files, paths
from launcher.codec import encode
from launcher.errors import PreconditionError, Problem
from launcher.files import write_atomically
from launcher.instance.options import FILE as OPTIONS
from launcher.instance.options import StartOptions
from launcher.instance.origins import FILE as ORIGINS
from launcher.instance.origins import origins_text
from launcher.instance.store import InstanceDir, Lock
from launcher.json_values import JsonObject, object_at
from launcher.keeper.events import histories
from launcher.plan.model import LaunchPlan
from launcher.preparation.prepare import Prepared
from launcher.profile.scalars import REFERENCE
from launcher.profile.secrets import resolve

KEEPER_DEADLINE = 30.0
"""Seconds in which a keeper's socket must listen; it takes about 0.1 s on an idle machine."""
LONGEST_STATE = 4 * 1024 * 1024
HANDOVER = "ERNIE_DEPLOY_KEEPER"
LONGEST_SECRETS = 512 * 1024
"""Bytes of all secrets together: the kernel takes 2 MiB of arguments and environment (execve)."""


@dataclass
class Started:
    """A keeper that was started; closing `link` before it is ready takes the instance down."""

    process: subprocess.Popen[bytes]
    link: socket.socket

    def last_word(self) -> JsonObject:
        """The final state that a keeper which has ended could not write down; empty: none."""
        data = b""
        try:
            while len(data) < LONGEST_STATE and (more := self.link.recv(65536)):
                data += more
            return object_at(json.loads(data))
        except (OSError, ValueError, RecursionError):
            return {}

    def let_go(self, *, wait: bool) -> None:
        """Close the link; with `wait` return only when the keeper has ended."""
        self.link.close()
        if wait:
            self.process.wait()
        else:
            # It outlives us on purpose; Popen would warn of a child that still runs.
            self.process.returncode = 0


TEMPORARY = re.compile(r"/tmp/ed-[a-z0-9]{8}")  # noqa: S108 - only what `temporary_path` makes


def temporary_path() -> Path:
    """A new folder's path, short because engines bind sockets below it (107 characters).

    The keeper makes the folder: an `up` that was killed before would leave it behind.
    """
    letters = string.ascii_lowercase + string.digits
    name = "".join(random_source.choice(letters) for _ in range(8))
    return Path("/tmp", f"ed-{name}")  # noqa: S108 - 0700, and its name cannot be guessed


def write_files(instance: InstanceDir, prepared: Prepared, options: StartOptions) -> None:
    """Store profile, options and plan; the previous run's logs and history move to `logs/previous`.

    Raises:
        PreconditionError: the disk is full or not writable; earlier files are as they were.
    """
    profile, folder = prepared.profile, instance.folder
    try:
        paths.private_folder(instance.logs / "engine")
        write_atomically(folder / "profile.yaml", profile.text)
        # ASCII: YAML, as which `restart` reads it, has its own ideas of U+0085 and U+007F.
        resolved = json.dumps(dict(profile.resolved), indent=1)
        write_atomically(folder / "profile.json", resolved)
        write_atomically(folder / ORIGINS, origins_text(instance, profile))
        write_atomically(folder / OPTIONS, json.dumps(encode(options)))
        write_atomically(folder / "plan.json", json.dumps(encode(prepared.plan)))
        _put_aside(instance)
    except OSError as error:
        raise _not_writable(instance, error) from None


def _put_aside(instance: InstanceDir) -> None:
    """Move the logs of the run before to `logs/previous`, so that old failures are not seen again.

    Only one is kept. FastDeploy appends to its logs across starts, so its folder moves too.
    """
    old = [path for path in instance.logs.iterdir() if path.name != "previous"]
    history = [path for path in histories(instance.folder) if path.exists()]
    if not history:
        return
    previous = instance.logs / "previous"
    shutil.rmtree(previous, ignore_errors=True)
    previous.mkdir(mode=0o700)
    for path in (*old, *history):
        path.rename(previous / path.name)
    paths.private_folder(instance.logs / "engine")


def _not_writable(instance: InstanceDir, error: OSError) -> PreconditionError:
    return PreconditionError(
        Problem(
            "state-not-writable",
            f"the instance's files cannot be written: {error.strerror or error}",
            str(error.filename or instance.folder),
            "free some disk space, or set ERNIE_DEPLOY_HOME to another folder",
        )
    )


def resolve_secrets(plan: LaunchPlan) -> dict[str, str]:
    """The secrets of the plan: those of the engine by variable, those of `notify` by reference.

    Raises:
        PreconditionError: one cannot be resolved, all together are more than an environment
            takes, or a program that would be told of changes is not there.
    """
    secrets = {name: resolve(reference) for name, reference in plan.secrets.items()}
    size = sum(len(name) + len(value.encode()) for name, value in secrets.items())
    if size > LONGEST_SECRETS:
        raise PreconditionError.of(
            "secrets-too-long",
            f"the profile's {len(secrets)} secrets have {size // 1024} KiB together, more than "
            f"{LONGEST_SECRETS // 1024} KiB",
            remedy="give the engine a file that holds them, and its path under `env`",
        )
    for target in plan.notify:
        if target.command and shutil.which(target.command[0]) is None:
            raise PreconditionError.of(
                "missing-program",
                f"notify: the target {target.name} runs {target.command[0]}, which is not there",
                remedy="install it, or fix `command` of that target in the profile",
            )
        references = (value for value in target.values if re.fullmatch(REFERENCE, value))
        secrets |= {reference: resolve(reference) for reference in references}
    return secrets


def start(
    instance: InstanceDir,
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
    try:
        argv, env, descriptors = _handover(instance, prepared, lock, secrets, theirs, forced)
        try:
            process = _spawn(instance, argv, env, descriptors)
        finally:
            os.close(descriptors[0])
    except OSError as error:
        ours.close()
        raise _not_writable(instance, error) from None
    finally:
        theirs.close()
    ours.settimeout(KEEPER_DEADLINE)
    try:
        reply = ours.recv(len(b"listening\n"))  # what may follow is its last word
    except OSError:
        reply = b""
    if not reply:
        ours.close()
        try:
            process.wait(KEEPER_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        try:
            text = files.read_text(instance.logs / "keeper.log", errors="replace")
        except OSError:
            text = ""
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        raise PreconditionError.of(
            "keeper-failed", f"the keeper did not start: {last or 'it said nothing'}",
            str(instance.logs / "keeper.log"),
        )  # fmt: skip
    return Started(process, ours)


def _spawn(
    instance: InstanceDir, argv: list[str], env: dict[str, str], descriptors: list[int]
) -> subprocess.Popen[bytes]:
    log = files.open_append(instance.logs / "keeper.log")
    try:
        return subprocess.Popen(
            argv,
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


def become_keeper(
    instance: InstanceDir,
    prepared: Prepared,
    lock: Lock,
    secrets: dict[str, str],
    forced: tuple[str, ...] = (),
) -> None:
    """Turn this process into the keeper (`up --foreground`); does not return."""
    try:
        argv, env, descriptors = _handover(instance, prepared, lock, secrets, None, forced)
    except OSError as error:
        raise _not_writable(instance, error) from None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    sys.stderr.flush()
    # `python -m` looks for modules in the current folder first, which is anybody's.
    os.chdir("/")
    os.execve(argv[0], argv, env)  # noqa: S606 - same pid, as systemd and containers expect


def _handover(
    instance: InstanceDir,
    prepared: Prepared,
    lock: Lock,
    secrets: dict[str, str],
    link: socket.socket | None,
    forced: tuple[str, ...],
) -> tuple[list[str], dict[str, str], list[int]]:
    """argv, environment and descriptors of the keeper; the first descriptor is the secrets'."""
    token = f"{instance.name}:{random_source.token_hex(8)}"
    write_atomically(instance.folder / "token", token)
    # In memory and not in a pipe, which takes 64 KiB and then waits for its reader.
    read = os.memfd_create("secrets")
    files.write_all(read, json.dumps(secrets).encode())
    os.lseek(read, 0, os.SEEK_SET)
    leases = list(prepared.leases.descriptors)
    handover = {
        "lock": lock.descriptor,
        "leases": leases,
        "parent": link.fileno() if link else None,
        "secrets": read,
        "token": token,
        "forced": list(forced),
    }
    env = dict(os.environ)
    env[HANDOVER] = json.dumps(handover)
    # The checkout or site-packages that holds us, however this process found it.
    env["PYTHONPATH"] = str(Path(launcher.__file__).resolve().parent.parent)
    # One malloc arena: the keeper's short-lived threads would otherwise each leave one behind.
    env["MALLOC_ARENA_MAX"] = "1"
    argv = [sys.executable, "-m", "launcher.keeper", str(instance.folder)]
    descriptors = [read, lock.descriptor, *leases]
    if link:
        descriptors.append(link.fileno())
    return argv, env, descriptors
