"""`plan`: what `up` would do, as data; nothing is started, no port stays leased."""

from __future__ import annotations

from launcher import paths
from launcher.plan.command import shell_line
from launcher.preparing.prepare import prepare
from launcher.profile.model import Profile
from launcher.result import Result


def show_plan(profile: Profile, assume: str | None = None) -> Result:
    """The launch plan of `profile`, for the installed release or for `assume`.

    Raises:
        DeployError: what would keep `up` from starting, as far as it can be known now.
    """
    prepared = prepare(profile, assume=assume)
    prepared.leases.release()
    plan = prepared.plan
    folder = paths.instances() / profile.name
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
        "plan": plan.to_json(),
        "shell": shell_line(plan),
        "files": files,
        "folders": [plan.log_folder, plan.temporary_folder, *plan.folders],
        "notes": [*plan.notes, *(note.text() for note in profile.notes)],
    }
    return Result("plan", data, profile.name)
