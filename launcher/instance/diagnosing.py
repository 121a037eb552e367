"""`diagnose` of an instance: its logs, judged by what its plan and its state say."""

from __future__ import annotations

from pathlib import Path

from launcher.diagnose import of_instance
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.store import InstanceDir
from launcher.keeper.state import DamagedState
from launcher.result import Result


def diagnose_instance(one: InstanceDir) -> Result:
    """The first cause in the logs of the instance's last start.

    Raises:
        PreconditionError: it has no plan, or no logs.
    """
    plan = one.plan()
    try:
        state = one.state()
    except DamagedState:
        # What happened is then told by the logs alone, of every start they hold.
        state = None
    found = of_instance(
        Path(plan.log_folder),
        one.engine_log,
        plan.failure_rules,
        engine=plan.engine,
        exit_code=state.engine_exit if state else None,
        state="ready" if state and state.ready_at else "loading",
        noise=plan.noise,
        since=state.started_at if state else None,
    )
    if not found.files:
        raise PreconditionError.of(
            "no-logs", f"{one.name} has no logs", str(one.logs), f"`ernie-deploy status {one.name}`"
        )
    code = ExitCode.NEGATIVE if found.found else ExitCode.DONE
    data = {**found.to_json(), "source": str(one.logs)}
    return Result("diagnose", data, one.name, code)
