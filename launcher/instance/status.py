"""`status`: how instances are, from their files and their keepers.

A ready server is what its keeper's last verdict says. One that was asked for by name, or that has
no verdict (a moment after its start, or with a keeper of an older release), is asked its health
question as well.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from launcher.errors import DeployError, ExitCode, Problem
from launcher.instance.health import HEALTH_TIMEOUT, Health, ask_health, with_stopped
from launcher.instance.instance_status import HealthReport, InstanceStatus, Planned, Record, Status
from launcher.instance.questions import Question, Questions
from launcher.instance.store import InstanceDir, check_readable, foreign_host, is_locked, view
from launcher.instance.systemd_unit import enabled_scope
from launcher.json_values import JsonObject, object_at, text_at
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.control import Client
from launcher.keeper.identity import is_same_process
from launcher.keeper.restart_policy import duration_text
from launcher.keeper.state import LivenessRecord, RestartRecord, State, reported_state
from launcher.lifecycle import COMING, LIVE, UNSUCCESSFUL, InstanceState
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.host.sockets import Listeners

Ask = Callable[[], InstanceStatus]
"""Asks the server, and returns the row with what it answered."""

KEEPER_TIMEOUT = 2.0
"""Seconds a keeper gets to answer; it does nothing that takes longer than milliseconds."""
PATIENCE = 0.3
"""Seconds after which the instances that follow wait no longer for one that is slow."""


def status(instances: Sequence[InstanceDir], *, one: bool) -> Result[Status]:
    """The state of each instance, asked of all at the same time and read one after the other.

    With `one` the exit code is 0 only if that instance is ready; else stopped instances do not
    count and any other that is not ready makes it 1.
    """
    listeners = None
    if instances:
        # Imported now rather than by all threads at once, each waiting for the others.
        import launcher.probe.readiness  # noqa: F401
        from launcher.host.sockets import Listeners

        listeners = Listeners()
    rows = [InstanceStatus(instance.name) for instance in instances]
    questions = Questions(instances, KEEPER_TIMEOUT)
    source = Source.BOTH if one else Source.VERDICT
    threads: list[threading.Thread] = []

    def start(work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        threads.append(thread)  # only now: what is listed is joined
        return thread

    end = time.monotonic() + HEALTH_TIMEOUT + KEEPER_TIMEOUT + 1
    while questions.left and time.monotonic() < end:
        start(lambda: _fill(rows, questions, listeners, source, start)).join(PATIENCE)
    for thread in threads:  # also those that are started meanwhile: they are at its end
        thread.join(max(0.0, end - time.monotonic()))
    rows = [replace(row, message=message(row)) for row in rows]
    ended_well = (InstanceState.STOPPED, InstanceState.ABSENT)
    unhealthy = [r for r in rows if not r.is_healthy and (one or r.state not in ended_well)]
    errors = tuple(Problem("not-ready", r.message, None, r.remedy) for r in unhealthy)
    name = instances[0].name if one and instances else None
    code = ExitCode.NEGATIVE if unhealthy else ExitCode.DONE
    return Result("status", Status(tuple(rows)), name, code, errors)


def message(row: InstanceStatus) -> str:
    """One sentence: what the instance is, and why where that is known."""
    name, state, why, record = row.name, row.state, row.note, row.record
    if state == InstanceState.READY:
        if row.is_healthy or row.health is None:
            return f"{name} is ready"
        return f"{name} is unhealthy: {row.health.health}"
    if state == InstanceState.UNKNOWN:
        return f"the state of {name} is unknown: {why or 'it could not be read in time'}"
    if state in UNSUCCESSFUL:
        error = record.error if record else None
        why = why or (error.message if error else None)
    elif state in COMING and record is not None and record.restart is not None:
        return f"{name} is restarting{restart_text(record.restart)}"
    elif state in COMING and record is not None and record.phase:
        percent = f" {record.percent:.0f} %" if record.percent is not None else ""
        why = why or f"phase {record.phase}{percent}"
    verb = "has" if state in UNSUCCESSFUL else "is"
    summary = f"{name} {verb} {state.upper() if state == InstanceState.LOST else state}"
    return f"{summary}: {why}" if why else summary


def restart_text(restart: RestartRecord) -> str:
    """` in 4 s, number 2 of 5 in 10 min: the engine was ready and was killed by SIGKILL`."""
    left = max(0.0, restart.at - time.time())
    when = f" in {left:.0f} s" if left >= 0.5 else " now"
    waiting = f" (waiting for {restart.waiting})" if restart.waiting else ""
    window = duration_text(restart.window)
    return (
        f"{when}{waiting}, number {restart.number} of {restart.limit} in {window}: {restart.cause}"
    )


class Source(Enum):
    """What says whether a ready server is well.

    The keeper's verdict sees more, but is as old as `liveness.interval` (5 s); the server's own
    answer to GET /health is of now. With `BOTH` each can say that it is not.
    """

    VERDICT = "verdict"
    ANSWER = "answer"
    BOTH = "both"


def _fill(
    rows: list[InstanceStatus],
    questions: Questions,
    listeners: Listeners | None,
    source: Source,
    start: Callable[[Callable[[], None]], object],
) -> None:
    """Fill in the rows that are left. Servers are slow: each is asked in a thread by `start`."""
    while (asked := questions.take()) is not None:
        index, instance = asked.index, asked.instance
        read = functools.partial(_read, instance, listeners, source, asked.question)
        row, ask = _shielded(instance, read)
        asked.question.close()
        if ask is None:
            rows[index] = row
        else:
            start(functools.partial(_fill_one, rows, index, instance, ask))


def _fill_one(
    rows: list[InstanceStatus], index: int, instance: InstanceDir, ask: Callable[[], InstanceStatus]
) -> None:
    rows[index], _ = _shielded(instance, lambda: (ask(), None))


def _shielded(
    instance: InstanceDir, read: Callable[[], tuple[InstanceStatus, Ask | None]]
) -> tuple[InstanceStatus, Ask | None]:
    """What `read` returns: one broken instance must not hide the others."""
    try:
        check_readable(instance)
        return read()
    except DeployError as error:
        return InstanceStatus(instance.name, note=str(error)), None
    except Exception as error:  # whatever is wrong with it
        return InstanceStatus(instance.name, note=repr(error)), None


def describe(
    instance: InstanceDir, listeners: Listeners | None = None, source: Source = Source.ANSWER
) -> InstanceStatus:
    """Everything `status` says about one instance, but for the message."""
    row, ask = _read(instance, listeners, source, None)
    return row if ask is None else ask()


def _read(
    instance: InstanceDir, listeners: Listeners | None, source: Source, question: Question | None
) -> tuple[InstanceStatus, Ask | None]:
    """What files and keeper say; with it what asks the server, where it is to be asked too.

    Without a `question` the keeper is asked here.
    """
    name, state, note = view(instance)
    row = InstanceStatus(instance.name, name, note, enabled=enabled_scope(instance.name))
    recorded: list[ProcessClaim] = []
    if name == InstanceState.DAMAGED and is_locked(instance.folder):
        name = InstanceState.STARTING  # a keeper lives that knows better than its file
    if name in LIVE:
        try:
            reported, word = (
                _reported(question.answer()) if question is not None else ask_keeper(instance)
            )
        except (OSError, ValueError) as error:
            note = f"the keeper does not answer ({error})"
            row = replace(row, note=note, state=InstanceState.UNKNOWN)
        else:
            if reported.state == InstanceState.UNKNOWN:  # a newer keeper's
                row = replace(row, note=f"the keeper reports the state {word!r}")
            row = replace(row, state=reported.state, record=_record(reported))
            recorded = reported.processes
    elif state is not None:
        row = replace(row, record=_with_living(_record(state), state))
    if name == InstanceState.LOST:
        row = replace(row, remedy=f"`ernie-deploy down {instance.name}`")
    try:
        plan = instance.plan_data()
    except DeployError:
        return row, None
    planned = [text_at(plan, key) or None for key in ("engine", "release", "model", "base_url")]
    row = replace(row, planned=Planned(*planned))
    if row.state != InstanceState.READY:
        return row, None
    pids = [process.pid for process in recorded]
    keeper = row.record.keeper_pid if row.record else None
    liveness = row.record.liveness if row.record else None

    def ask() -> InstanceStatus:
        answer = _health(
            source, liveness, lambda: ask_health(plan, pids, keeper, HEALTH_TIMEOUT, listeners)
        )
        return _with_health(row, instance, with_stopped(answer, recorded))

    is_known = source is Source.VERDICT and liveness is not None
    return (ask(), None) if is_known else (row, ask)


def _with_health(row: InstanceStatus, instance: InstanceDir, answer: Health) -> InstanceStatus:
    remedy = None if answer.well else answer.remedy
    health = HealthReport(answer.well, answer.message, answer.status, answer.body, remedy)
    row = replace(row, health=health)
    if not answer.well:
        row = replace(row, remedy=f"`ernie-deploy diagnose {instance.name}` names the cause")
    return row


def _health(source: Source, liveness: LivenessRecord | None, ask: Callable[[], Health]) -> Health:
    """Of a settled verdict against the server and an answer against it the verdict says more."""
    if liveness is None or source is Source.ANSWER:
        return ask()
    verdict = Health(liveness.is_healthy, verdict_text(liveness))
    if source is Source.VERDICT or not (verdict.well or liveness.doubtful):
        return verdict
    answer = ask()
    return answer if answer.well is False else verdict


def verdict_text(liveness: LivenessRecord) -> str:
    """`stalled for 31 s: GET /health timed out after 2 s`."""
    word = "in doubt" if liveness.doubtful else liveness.verdict.value
    seconds = max(0.0, time.time() - liveness.since)
    length = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{word} for {length}: {'; '.join(liveness.reasons)}"


def ask_keeper(instance: InstanceDir, timeout: float = KEEPER_TIMEOUT) -> tuple[State, str]:
    """The state that the keeper reports, and its word for it.

    Raises:
        OSError: it does not answer.
        ValueError: the answer cannot be read.
    """
    client = Client(instance.folder, timeout)
    try:
        return _reported(client.request("status"))
    finally:
        client.close()


def _reported(answer: JsonObject) -> tuple[State, str]:
    """The state in a keeper's answer, and its word for it.

    Raises:
        ValueError: it cannot be read.
    """
    reported = object_at(answer, "state")
    return reported_state(reported), text_at(reported, "state")


def _record(state: State) -> Record:
    ready = state.ready_at and state.state == InstanceState.READY
    return Record(
        phase=state.phase,
        percent=state.percent,
        ports=state.ports,
        admin_url=state.admin_url or None,
        started_at=state.started_at,
        ready_at=state.ready_at,
        ended_at=state.ended_at,
        error=state.error,
        exit_code=state.exit_code,
        receipt=state.receipt,
        restarts=state.restarts,
        restart=state.restart if state.state in COMING else None,
        engine_exit=state.engine_exit,
        forced=tuple(state.forced),
        previous_state=state.previous_state,
        pid=state.engine.pid if state.engine else None,
        keeper_pid=state.keeper.pid if state.keeper else None,
        processes=len(state.processes),
        ready_for=round(time.time() - (state.ready_at or 0), 1) if ready else None,
        liveness=state.liveness if ready else None,
    )


def _with_living(record: Record, state: State) -> Record:
    """Which of the stored processes still live: a number of the dead may be anybody's by now."""
    pids = set()
    if foreign_host(state) is None:
        pids = {p.pid for p in state.processes if is_same_process(p.pid, p.start)}
    pid = record.pid if record.pid in pids else None
    return replace(record, pid=pid, keeper_pid=None, processes=len(pids) or None)
