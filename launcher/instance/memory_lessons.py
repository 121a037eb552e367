"""How far the memory plan was off, learnt from a start that no `up` was there to see."""

from __future__ import annotations

from pathlib import Path

from launcher import engines
from launcher.errors import DeployError
from launcher.instance.store import foreign_host, instance_dir
from launcher.keeper.state import DamagedState
from launcher.preparation.memory import history, learn
from launcher.profile.loader import load


def catch_up(name: str) -> None:
    """Learn from the instance's last start where no `up` did: under systemd, say."""
    instance = instance_dir(name)
    try:
        state, plan = instance.state(), instance.plan()
        if state is None or state.ready_at is None or foreign_host(state) or not plan.release:
            return
        started = load(instance.folder / "profile.json", need_model=False, resolved=True)
        if any(row.time >= state.started_at for row in history(started)):
            return
        learn(started, engines.get(plan.engine).release(plan.release), Path(plan.log_folder))
    except (DeployError, DamagedState):
        # A start without a lesson must not stop a plan.
        return
