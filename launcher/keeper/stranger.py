"""Whose signal ended an engine of which a worker was seen to die first.

A stranger's signal goes to several processes of an engine at once, and what each of them leaves
behind ends others. Which death is seen first, and whether that is before the engine's own line
about the signal, is chance; in each case the cause is the signal.
"""

from __future__ import annotations

import signal

from launcher.errors import ExitCode
from launcher.keeper.failure import ASKING, Failure
from launcher.lifecycle import InstanceState

WORKER_DIED = "worker-died"
"""The failure that may be the consequence of a signal to another process."""


def behind(
    failure: Failure,
    stop_line: tuple[str, str] | None,
    engine_exit: int | None,
    own: tuple[str, ...],
) -> Failure | None:
    """The stranger's signal behind a worker's death; None where nothing tells of one.

    All of it is from before our first signal: `stop_line`, the signal and the line by which the
    engine says that it was told to stop, and `engine_exit`, how its first process ended, as
    subprocess says it. `own` are the signals that this engine sends itself when a worker of it has
    died.
    """
    if failure.problem.code != WORKER_DIED:
        return None
    ready = failure.exit_code is ExitCode.DIED
    state = InstanceState.READY if ready else InstanceState.LOADING
    if stop_line is not None and stop_line[0] not in own:
        return Failure.from_stranger(*stop_line, state)
    if engine_exit is None or -engine_exit not in (*ASKING, signal.SIGKILL):
        return None
    if signal.Signals(-engine_exit).name in own:
        return None
    return Failure.from_exit(engine_exit, state)
