"""The last word about a run: what its worker died of, how it ended, and with what exit code."""

from __future__ import annotations

import signal
from dataclasses import replace

from launcher.codec import encode
from launcher.errors import ExitCode
from launcher.keeper.engine_stop import StopRequest
from launcher.keeper.failure import Failure, without_secrets
from launcher.keeper.log_follower import Follower
from launcher.keeper.receipt import Receipt
from launcher.keeper.record import Record
from launcher.keeper.restart_policy import GiveUp, StartAgain
from launcher.keeper.state import EndError
from launcher.keeper.watch import Watcher
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan
from launcher.redact import Redactor

OUR_SIGNALS = frozenset((0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL, -signal.SIGABRT))
"""Exit codes of workers that say nothing: we ended them, since another one had died."""


def look_up_worker_exit(
    watcher: Watcher, follower: Follower | None, plan: LaunchPlan, besides: frozenset[int]
) -> None:
    """Of a server that was ready: with what code its worker died, which the logs may tell.

    `follower` was closed when it was ready, and knows where its logs were then.
    """
    if follower is None or watcher.worker_exit is not None:
        return
    for source, line in follower.rest({s.source for s in plan.exit_codes}):
        watcher.note_exit(source, line, besides=besides)


def conclude(
    record: Record,
    failure: Failure | None,
    stop: StopRequest,
    redactor: Redactor,
    receipt: Receipt,
    decision: StartAgain | GiveUp | None,
) -> ExitCode:
    """Enter the final state, with the receipt of what is left; returns the exit code of the run.

    `decision` is what the restart policy makes of a failure. Where another run follows, nothing is
    final: the state is only made complete.
    """
    state = record.state
    if failure is not None:
        problem = without_secrets(failure.problem, redactor)
        if isinstance(decision, GiveUp) and decision.message:
            problem = replace(problem, message=f"{problem.message}; {decision.message}")
        code = failure.exit_code
        state.error = EndError(
            problem.code, problem.message, problem.where, problem.remedy, failure.retry,
            failure.certain,
        )  # fmt: skip
        was_ready = state.ready_at is not None and not _is_used_up(decision)
        final = InstanceState.DIED if was_ready and code is ExitCode.DIED else InstanceState.FAILED
    else:
        code, final = stop.code, InstanceState.STOPPED
    if not receipt.is_clean:
        record.event("warning", message=f"left behind: {', '.join(receipt.left)}")
    state.exit_code = int(code)
    if not isinstance(decision, StartAgain):
        error, left = encode(state.error), encode(receipt)
        record.set(final, error=error, receipt=left, exit_code=int(code))
    return code


def _is_used_up(decision: StartAgain | GiveUp | None) -> bool:
    return isinstance(decision, GiveUp) and decision.reason == "budget"
