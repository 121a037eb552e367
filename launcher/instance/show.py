"""`plan`: what `up` would do, as data; nothing is started, no port stays leased."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.codec import written
from launcher.errors import DeployError
from launcher.host import cgroups
from launcher.instance.differences import differences
from launcher.instance.store import InstanceDir, instance_dir, view
from launcher.lifecycle import LIVE, InstanceState
from launcher.plan.command import shell_line
from launcher.plan.model import LaunchPlan
from launcher.preparation.prepare import prepare
from launcher.profile.model import Profile
from launcher.result import Result


@dataclass(frozen=True)
class Running:
    """What runs under the name already, and in what it differs from the profile."""

    state: InstanceState
    differences: tuple[str, ...]


@dataclass(frozen=True)
class PlannedFile:
    """A file that `up` would write."""

    path: str
    mode: str
    purpose: str


@dataclass(frozen=True)
class PlannedCgroup:
    """Whether a server that is started from here has a cgroup of its own, and a memory limit."""

    own: bool
    memory_max: int | None
    message: str


@dataclass(frozen=True)
class PlanOutput:
    """`plan`. `installed` is False where the release was named; `shell` is the command line.

    Of a replica that is a group this is the router's, and `group` has the other instances'; `role`
    is what each of them is.
    """

    installed: bool
    running: Running | None
    plan: LaunchPlan
    shell: str
    files: tuple[PlannedFile, ...]
    folders: tuple[str, ...]
    cgroup: PlannedCgroup
    notes: tuple[str, ...]
    role: str | None = field(default=None, metadata=written(omit=True))
    group: tuple[PlanOutput, ...] = field(default=(), metadata=written(omit=True))


def show_plan(profile: Profile, assume: str | None = None) -> Result[PlanOutput]:
    """The launch plan of `profile`, for the installed release or for `assume`.

    Of an instance that runs, the ports are those it has, and what differs from it is told.

    Raises:
        DeployError: what would keep `up` from starting, as far as it can be known now.
    """
    instance = instance_dir(profile.name)
    running = _running(instance, profile) if assume is None else None
    ports = instance.ports() if running else {}
    prepared = prepare(profile, assume=assume, preferred=ports, running=running is not None)
    prepared.leases.release()
    plan = prepared.plan
    folder = instance.folder
    files = [
        PlannedFile(str(folder / name), "0600", purpose)
        for name, purpose in (
            ("profile.yaml", "the profile as given"),
            ("profile.json", "the profile as resolved"),
            ("plan.json", "this plan"),
            ("state.json", "what the instance is"),
            ("events.jsonl", "what happened to it"),
            ("logs/engine.log", "the engine's output"),
        )
    ]
    data = PlanOutput(
        installed=assume is None,
        running=running,
        plan=plan,
        shell=shell_line(plan),
        files=tuple(files),
        folders=(plan.log_folder, plan.temporary_folder, *plan.folders),
        cgroup=_cgroup(plan),
        notes=(*plan.notes, *(note.text() for note in profile.notes)),
    )
    return Result("plan", data, profile.name)


def _cgroup(plan: LaunchPlan) -> PlannedCgroup:
    here = cgroups.support()
    limit = plan.memory_max if here.memory else None
    return PlannedCgroup(here.folder is not None, limit, here.message)


def _running(instance: InstanceDir, profile: Profile) -> Running | None:
    """What runs under this name and in what it differs; None where nothing does."""
    state, _, _ = view(instance)
    if state not in LIVE:
        return None
    try:
        return Running(state, tuple(differences(instance, profile)))
    except DeployError:
        return None  # `up` writes its files right now, or they are damaged
