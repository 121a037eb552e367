"""Whether the profile's restart policy starts an engine again."""

from __future__ import annotations

from launcher.errors import ExitCode
from launcher.keeper.engine_stop import StopRequest
from launcher.keeper.failure import Failure
from launcher.keeper.state import State
from launcher.plan.model import LaunchPlan


def may_restart(plan: LaunchPlan, state: State, stop: StopRequest, failure: Failure | None) -> bool:
    """True where a run that ended with `failure` is followed by another one.

    Only after it was ready, as often as the profile allows, and unless the logs show that starting
    again cannot help.
    """
    if failure is None or stop.requested or state.ready_at is None:
        return False
    allowed = plan.restart_policy == "on-failure" and state.restarts < plan.max_restarts
    return allowed and failure.exit_code is ExitCode.DIED and failure.retry
