"""An instance on disk: `instances/<name>/`, what is in it, and who may write it.

profile.yaml    the profile as given          plan.json     the launch plan
profile.json    the profile as resolved       state.json    what it is now
options.json    what else `up` was given      token         the mark of its processes
events.jsonl    what happened, when, why      lock          flock of the one writer
logs/engine.log the engine's output           control.sock  the keeper's socket
logs/engine/    the engine's own logs         logs/keeper.log
incidents/      what was kept of each failure, stall, restart and killed keeper
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import files, paths
from launcher.errors import PreconditionError, UsageError
from launcher.instance import survivors
from launcher.json_values import JsonObject, object_at, text_at
from launcher.keeper.identity import look, this_host
from launcher.keeper.state import DamagedState, State, read_state
from launcher.lifecycle import LIVE, InstanceState
from launcher.nearest import did_you_mean

if TYPE_CHECKING:
    from launcher.plan.model import LaunchPlan

PLANS = "ernie-deploy/plan/"
"""How the schema of every launch plan begins."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,47}")


@dataclass(frozen=True)
class InstanceDir:
    """The directory of one instance; it may not exist yet."""

    folder: Path

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.folder.name

    @property
    def logs(self) -> Path:
        """The folder of all logs; the engine's own are below `engine/`."""
        return self.folder / "logs"

    @property
    def engine_log(self) -> Path:
        """The captured output of the engine, rotated as `engine.log.1`, `.2`, oldest last."""
        return self.logs / paths.CONSOLE

    @property
    def exists(self) -> bool:
        """True once an `up` got as far as a plan."""
        return os.path.lexists(self.folder / "plan.json")

    def plan_data(self) -> JsonObject:
        """The plan that was started as plain JSON: a `LaunchPlan` takes ten times as long.

        Raises:
            PreconditionError: there is none, or it cannot be read.
        """
        try:
            data = object_at(json.loads(files.read_text(self.folder / "plan.json")))
            if not text_at(data, "schema").startswith(PLANS):
                raise ValueError("it is not a launch plan")
        except (OSError, ValueError, RecursionError) as error:
            raise PreconditionError.of(
                "no-plan", f"the plan of {self.name} cannot be read: {error}", str(self.folder)
            ) from None
        return data

    def plan(self) -> LaunchPlan:
        """The plan that was started.

        Raises:
            PreconditionError: there is none, or it cannot be read.
        """
        # Its classes take as long to make as all that `status` of stopped instances needs.
        from launcher.plan.model import read_plan

        try:
            plan = read_plan(json.loads(files.read_text(self.folder / "plan.json")))
            if plan.instance != self.name:
                raise ValueError(f"it is the plan of {plan.instance!r}")
            return plan
        except (OSError, ValueError, RecursionError) as error:
            raise PreconditionError.of(
                "no-plan", f"the plan of {self.name} cannot be read: {error}", str(self.folder)
            ) from None

    def ports(self) -> dict[str, int]:
        """The ports of the plan that was started, by name; empty where there is none."""
        try:
            return self.plan().numbers
        except PreconditionError:
            return {}

    def profile(self) -> JsonObject:
        """The resolved profile, keys in kebab-case; empty where it cannot be read."""
        try:
            return object_at(json.loads(files.read_text(self.folder / "profile.json")))
        except (OSError, ValueError, RecursionError):
            return {}

    def state(self) -> State | None:
        """The stored state.

        Raises:
            DamagedState: there is one that cannot be believed.
        """
        state = read_state(self.folder)
        if state is not None and state.instance != self.name:
            raise DamagedState(
                f"{self.folder / 'state.json'} is of the instance {state.instance!r}"
            )
        return state

    def token(self) -> str:
        """The last start's token, which marks its processes; empty where it cannot be read."""
        try:
            token = files.read_text(self.folder / "token").strip()
        except (OSError, UnicodeDecodeError):
            return ""
        return token if token.startswith(f"{self.name}:") else ""


def instance_dir(name: str) -> InstanceDir:
    """The directory of the instance called `name`, existing or not.

    Raises:
        UsageError: that cannot be a name (`..` would be another folder).
    """
    if not _NAME.fullmatch(name):
        raise UsageError.of(
            "bad-name", f"{name!r} cannot be the name of an instance",
            remedy="up to 48 of a-z, 0-9, `.` and `-`, not beginning with `.` or `-`",
        )  # fmt: skip
    return InstanceDir(paths.instances() / name)


def open_instance(name: str) -> InstanceDir:
    """The existing instance called `name`.

    Raises:
        UsageError: there is none; names the nearest.
        PreconditionError: it may not be read.
    """
    instance = instance_dir(name)
    check_readable(instance)
    if instance.exists or os.path.lexists(instance.folder / "state.json") or _lives(instance):
        return instance
    raise UsageError.of(
        "unknown-instance",
        unknown(name),
        remedy="`ernie-deploy status` lists all; a profile's path has a / or ends in .yaml",
    )


def unknown(name: str) -> str:
    """The message that the instance does not exist, with the nearest name."""
    names = [instance.name for instance in every_instance()]
    return f"no instance is called {name!r}{did_you_mean(name, names)}"


def check_readable(instance: InstanceDir) -> None:
    """Nothing can be said of an instance whose folder may not be read.

    Raises:
        PreconditionError: it is another user's, or the state directory is not a folder.
    """
    if paths.check_readable(paths.instances()) and instance.folder.is_dir():
        paths.check_readable(instance.folder)


def every_instance() -> list[InstanceDir]:
    """All instances, by name.

    Raises:
        PreconditionError: the state directory is another user's, or no folder.
    """
    top = paths.instances()
    listed = os.listdir(top) if paths.check_readable(top) else []
    names = {name for name in listed if os.path.isdir(os.path.join(top, name))}
    names |= survivors.names(top, names)
    return [InstanceDir(top / name) for name in sorted(names) if _NAME.fullmatch(name)]


def _lives(instance: InstanceDir) -> bool:
    """True where a process of the instance lives, whatever became of its files."""
    return bool(survivors.keeper_of(instance.folder) or survivors.engine_of(instance.folder))


def make_folder(instance: InstanceDir) -> None:
    """Make the instance's folder.

    Raises:
        PreconditionError: it cannot be made.
    """
    try:
        paths.private_folder(instance.folder)
    except OSError as error:
        raise PreconditionError.of(
            "state-not-writable", f"{instance.folder}: {error.strerror}", None,
            "set ERNIE_DEPLOY_HOME to a folder that can be written",
        ) from None  # fmt: skip


class Lock:
    """The instance's flock: its holder is the only writer of its state.

    The lock belongs to the open file, not to the process: `up` hands it to the keeper by letting
    it inherit the descriptor, without a moment in which it is free.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over an open, locked descriptor."""
        self.descriptor = descriptor

    @classmethod
    def take(cls, folder: Path) -> Lock | None:
        """The lock of `folder`, or None while it is held or the folder is not there.

        Raises:
            PreconditionError: it cannot be made (disk full, another user's folder).
        """
        path = folder / "lock"
        try:
            try:
                descriptor = files.open_append(path)
            except OSError as error:
                if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC):
                    raise
                # Who cannot write can still learn whether a keeper holds it, and ask that one.
                try:
                    descriptor = files.open_plain(path, os.O_RDONLY)
                except OSError:
                    raise error from None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PreconditionError.of(
                "state-not-writable", f"the lock cannot be made: {error.strerror}", str(path),
                "free some disk space, or set ERNIE_DEPLOY_HOME to a folder of yours",
            ) from None  # fmt: skip
        try:
            # An `up` that failed may have removed the folder since: that file is not the lock.
            if files.try_lock(descriptor) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return cls(descriptor)
        except FileNotFoundError:
            pass
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Give the lock back, unless another process has inherited it."""
        os.close(self.descriptor)


def is_locked(folder: Path) -> bool:
    """True while the lock of `folder` is held."""
    return files.is_locked(folder / "lock")


def foreign_host(state: State) -> str | None:
    """Why this state belongs to another machine or pid namespace, or None where it is ours.

    An earlier boot of this machine is ours: nothing of it runs any more.
    """
    here = this_host()
    if state.machine != here.machine:
        return f"it was started on another machine ({state.machine}; this is {here.machine})"
    if state.boot == here.boot and state.pid_namespace != here.pid_namespace:
        return "it was started in another container (pid namespace) of this machine"
    return None


def view(instance: InstanceDir) -> tuple[InstanceState, State | None, str | None]:
    """What an instance is now: (state, stored state, note).

    The state is one of `launcher.keeper.state.State`'s, or `lost` (the keeper was killed, or the
    machine was restarted), `foreign` (another machine's), `damaged`, `absent`.
    """
    try:
        state = instance.state()
    except DamagedState as error:
        if survivors.keeper_of(instance.folder) is not None:
            return InstanceState.STARTING, None, None  # it knows better than its file
        return InstanceState.DAMAGED, None, str(error)
    if state is None:
        if is_locked(instance.folder) or survivors.keeper_of(instance.folder) is not None:
            return InstanceState.STARTING, None, None
        count = len(survivors.engine_of(instance.folder))
        if count:
            return (
                InstanceState.LOST,
                None,
                f"its files were deleted, {count} processes of it still run",
            )
        return (
            InstanceState.ABSENT,
            None,
            "its start ended before a server was started; `down` removes it",
        )
    if not state.live:
        return state.state, state, None  # it ended: on which host does not matter
    host = foreign_host(state)
    if host:
        return InstanceState.FOREIGN, state, host
    if state.boot != this_host().boot:
        note = f"the machine was restarted while it was {state.state}"
        return InstanceState.LOST, state, f"{note}; `up` starts it again, `down` acknowledges it"
    keeper = state.keeper
    living = look(keeper.pid) if keeper else None
    if living and keeper and living.start == keeper.start and living.state not in "ZX":
        kept = survivors.folder_kept_by(living)
        if kept is not None and not survivors.is_same_folder(kept, instance.folder):
            return InstanceState.FOREIGN, state, f"it is a copy: the instance runs in {kept}"
        return state.state, state, None
    if is_locked(instance.folder) or survivors.keeper_of(instance.folder) is not None:
        return InstanceState.STARTING, state, None
    return (
        InstanceState.LOST,
        state,
        "its keeper was killed; `down` cleans up, `up` cleans and starts",
    )


def keeper_of(instance: InstanceDir) -> int | None:
    """The pid of the keeper while the instance is at work, else None."""
    state, stored, _ = view(instance)
    if stored is None or state not in LIVE:
        return None
    keeper = survivors.keeper_of(instance.folder, stored)
    return keeper.pid if keeper is not None else None
