"""`plan`: what `up` would do, as data; nothing is started, no port stays leased."""

from __future__ import annotations

from typing import Any

from launcher.codec import encode
from launcher.errors import DeployError
from launcher.instance.differences import differences
from launcher.instance.store import InstanceDir, instance_dir, view
from launcher.lifecycle import LIVE
from launcher.plan.command import shell_line
from launcher.preparation.prepare import prepare
from launcher.profile.model import Profile
from launcher.result import Result


def show_plan(profile: Profile, assume: str | None = None) -> Result:
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
        {"path": str(folder / name), "mode": "0600", "purpose": purpose}
        for name, purpose in (
            ("profile.yaml", "the profile as given"),
            ("profile.json", "the profile as resolved"),
            ("plan.json", "this plan"),
            ("state.json", "what the instance is"),
            ("events.jsonl", "what happened to it"),
            ("logs/engine.log", "the engine's output"),
        )
    ]
    data = {
        "installed": assume is None,
        "running": running,
        "plan": encode(plan),
        "shell": shell_line(plan),
        "files": files,
        "folders": [plan.log_folder, plan.temporary_folder, *plan.folders],
        "notes": [*plan.notes, *(note.text() for note in profile.notes)],
    }
    return Result("plan", data, profile.name)


def _running(instance: InstanceDir, profile: Profile) -> dict[str, Any] | None:
    """What runs under this name and in what it differs; None where nothing does."""
    state, _, _ = view(instance)
    if state not in LIVE:
        return None
    try:
        return {"state": state, "differences": differences(instance, profile)}
    except DeployError:
        return None  # `up` writes its files right now, or they are damaged
