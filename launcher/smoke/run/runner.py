"""Runs the chosen checks, side by side where they do not disturb one another, all in bounded time.

Every check runs in a daemon thread with a limit of its own: a server that feeds a socket one byte
at a time can hold a thread, never the run.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from launcher.smoke.check import Check
from launcher.smoke.clients.base import Client, TransportError, UnsupportedError
from launcher.smoke.clients.transcript import ExchangeRecord, Transcript
from launcher.smoke.judgement import overload
from launcher.smoke.judgement.ledger import Ledger
from launcher.smoke.outcome import Finding, Outcome, Stop
from launcher.smoke.run.liveness import BUDGET_SECONDS, Liveness
from launcher.smoke.section.limits import expected
from launcher.smoke.session import Session
from launcher.smoke.target import Target

SIDE_BY_SIDE = 4
"""Checks that run at once at most: more would turn a smoke test into a load test."""
CHECK_FACTOR = 3.0
"""A check may take this many request time-outs; the long ones ask many questions."""

SILENT = 3
"""So many checks wait in vain before the rest is spared."""
SILENT_CODES = frozenset({"timeout", "stalled", "hang", "unreachable", "unresponsive"})

PATIENT = frozenset({"long", "load"})
"""Tags of the checks that may keep an honest server silent for long."""


class Progress(Protocol):
    """Is told how a run goes on; checks run side by side, so by several threads."""

    def planned(self, names: Sequence[str]) -> None:
        """These checks are going to run."""

    def begun(self, name: str) -> None:
        """A check begins."""

    def ended(self, name: str, verdict: str) -> None:
        """A check has ended."""


@dataclass
class CheckRun:
    """One check through one client, once or several times."""

    check: Check
    client: str
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    evidence: tuple[ExchangeRecord, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The outcome that counts: the worst of all runs."""
        order = {"fail": 0, "inconclusive": 1, "could not check": 2, "pass": 3}
        return min(self.outcomes, key=lambda o: order[o.verdict])

    @property
    def passes(self) -> int:
        """How many runs passed."""
        return sum(o.verdict == "pass" for o in self.outcomes)


@dataclass
class Run:
    """A run that is over: its checks in the order that was asked for, and what cut it short."""

    checks: list[CheckRun]
    stopped: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Shared:
    """What all checks of a run have in common."""

    target: Target
    transcript: Transcript
    ledger: Ledger
    liveness: Liveness
    repeat: int


def run(
    target: Target,
    checks: Sequence[Check],
    clients: Sequence[Client],
    *,
    repeat: int = 1,
    progress: Progress | None = None,
    budget: float = BUDGET_SECONDS,
) -> Run:
    """Run `checks` through `clients`; the order of the result is the order of the checks."""
    transcript = Transcript(target.secrets)
    liveness = Liveness(target, transcript, budget)
    shared = _Shared(target, transcript, Ledger(), liveness, repeat)
    jobs: list[tuple[CheckRun, Client]] = []
    for check in checks:
        for client in clients if check.via == "client" else clients[:1]:
            jobs.append((CheckRun(check, "http" if check.via == "http" else client.name), client))
    with liveness.watching():
        _run_jobs(jobs, shared, progress)
    return Run([job[0] for job in jobs], liveness.stopped, liveness.reason)


def _run_jobs(
    jobs: Sequence[tuple[CheckRun, Client]], shared: _Shared, progress: Progress | None
) -> None:
    target, liveness = shared.target, shared.liveness
    gate = [job for job in jobs if job[0].check.name == "health"]
    calm = [job for job in jobs if not job[0].check.disturbs and job not in gate]
    alone = [job for job in jobs if job[0].check.disturbs]
    ended: list[CheckRun] = []
    several = len({client.name for _, client in jobs}) > 1

    def name(run: CheckRun) -> str:
        return f"{run.check.name} ({run.client})" if several else run.check.name

    def one(job: tuple[CheckRun, Client]) -> None:
        if progress:
            progress.begun(name(job[0]))
        silence = liveness.reason or _silence(ended)
        if silence:
            job[0].outcomes = [Outcome("could not check", silence)]
        else:
            _run_check(job[0], job[1], shared)
        ended.append(job[0])
        if progress:
            progress.ended(name(job[0]), job[0].outcome.verdict)

    if progress:
        progress.planned([name(job[0]) for job in jobs])
    for job in gate:
        one(job)
    unreachable = never_connected([job[0] for job in gate])
    if unreachable:
        for job in (*calm, *alone):
            job[0].outcomes = [Outcome("could not check", unreachable)]
        return
    _side_by_side(calm, one, min(SIDE_BY_SIDE, target.max_num_seqs or SIDE_BY_SIDE))
    for job in alone:
        liveness.patient = bool(job[0].check.tags & PATIENT)
        one(job)


def _silence(ended: Sequence[CheckRun]) -> str | None:
    """Why more requests are useless: several checks waited in vain, and none was ever answered.

    Without it a server that takes every request and answers none would hold a whole run for as
    many time-outs as there are checks.
    """
    finished = [run for run in ended if run.outcomes and run.check.name != "health"]
    if any(run.check.via == "client" and run.outcome.verdict == "pass" for run in finished):
        return None
    silent = [r for r in finished if any(f.code in SILENT_CODES for f in r.outcome.findings)]
    if len(silent) < SILENT:
        return None
    names = ", ".join(r.check.name for r in silent[:SILENT])
    return f"no chat was ever answered, and {names} waited in vain: {silent[0].outcome.message}"


def never_connected(runs: Sequence[CheckRun]) -> str | None:
    """Why no check could so much as connect; None where one could, or none was made."""
    completed = [o for run in runs for o in run.outcomes if o.verdict != "could not check"]
    findings = [f for outcome in completed for f in outcome.findings]
    if (
        all(o.findings for o in completed)
        and findings
        and all(f.code == "unreachable" for f in findings)
    ):
        return findings[0].actual
    return None


def _side_by_side(
    jobs: Iterable[tuple[CheckRun, Client]],
    one: Callable[[tuple[CheckRun, Client]], None],
    width: int,
) -> None:
    waiting: queue.SimpleQueue[tuple[CheckRun, Client]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    broken: list[BaseException] = []

    def work() -> None:
        while not broken:
            try:
                one(waiting.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:
                broken.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, width))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


def _run_check(run: CheckRun, client: Client, shared: _Shared) -> None:
    target = shared.target
    missing = [n for n in run.check.needs if target.promised(n) is False]
    if missing:
        who = f"{target.engine} {target.release or ''}".strip() if target.engine else target.name
        run.outcomes = [Outcome("could not check", f"{who} does not promise {', '.join(missing)}")]
        return
    begun = time.monotonic()
    for _ in range(shared.repeat):
        session = Session(target, run.check, client, shared.transcript, ledger=shared.ledger)
        run.outcomes.append(_bounded(run.check, session, shared.liveness))
        if run.outcomes[-1].verdict == "could not check" or shared.liveness.stopped:
            break
    run.seconds = time.monotonic() - begun
    run.evidence = shared.transcript.of(run.check.name, client.name)


def _bounded(check: Check, session: Session, liveness: Liveness) -> Outcome:
    box: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            box.put(judge(check, session))
        except BaseException as error:
            box.put(error)

    limit = session.target.check_timeout or session.target.request_timeout * CHECK_FACTOR
    threading.Thread(target=work, daemon=True, name=session.check.name).start()
    try:
        with liveness.announce(box):
            result = box.get(timeout=limit)
    except queue.Empty:
        finding = Finding("hang", f"an end within {limit:.0f} s", "none")
        return Outcome("fail", f"the check had not ended after {limit:.0f} s", (finding,))
    if isinstance(result, BaseException):
        raise result
    return result


def judge(check: Check, session: Session) -> Outcome:
    """Run one check's function and turn whatever ends it into an outcome."""
    try:
        outcome = check.function(session)
        if outcome.verdict == "pass" and session.findings:
            # A check of a third party may end with `passed` after it has noted what is wrong.
            outcome = session.outcome("")
        return expected(session, outcome)
    except Stop as stop:
        if stop.outcome.verdict != "fail" and session.findings:
            # Something was already wrong: a later doubt must not hide it.
            return session.outcome("")
        return stop.outcome
    except UnsupportedError as error:
        return Outcome("could not check", str(error))
    except TransportError as error:
        code = "unreachable" if error.kind == "refused" else error.kind
        feature = overload.of_a_feature(session.check) and not session.findings
        if feature and code in overload.LATE:
            return overload.late(session.check, code, error.message)
        session.expect(False, code, "a whole answer", error.message)
        return session.outcome("")
    except AssertionError as error:
        session.expect(False, "assertion", "the check's assertion to hold", _location(error))
        return session.outcome("")
    except Exception as error:
        # One check that breaks must not take the verdicts of the others with it.
        return Outcome(
            "inconclusive", f"the check itself broke (a defect in it): {_location(error)}"
        )


def _location(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
