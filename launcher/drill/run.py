"""`drill`: scenario after scenario on one instance, each undone before the next."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from launcher import files
from launcher.drill.bar import Bar, Miss
from launcher.drill.in_use import refuse_if_used
from launcher.drill.measure import measure
from launcher.drill.payloads import (
    DrillRun,
    DrillTarget,
    ScenarioList,
    ScenarioResult,
    ScenarioRow,
)
from launcher.drill.restore import Restorer, restarts_left
from launcher.drill.scenario import Course, Scenario
from launcher.drill.scenarios import SCENARIOS
from launcher.drill.subject import Subject
from launcher.drill.undo import Undo
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem, UsageError
from launcher.instance.interrupt import Interrupt, interruptible
from launcher.instance.store import InstanceDir
from launcher.nearest import did_you_mean
from launcher.result import Result

ABORTING = ("fault-not-undone", "drill-running", "not-restored")
"""Errors after which nothing more is broken."""
OnStep = Callable[[str, ScenarioResult | None], None]
"""Called with a scenario's name before it, and with its result after it."""


@dataclass(frozen=True)
class Options:
    """What the operator asked for. `bars` replace those of scenarios, by name."""

    names: tuple[str, ...] = ()
    rounds: int = 1
    bars: Mapping[str, Bar] | None = None
    in_use: bool = False


def catalogue() -> Result[ScenarioList | DrillRun]:
    """The result of `drill --list`."""
    rows = (ScenarioRow(one.name, one.action, one.simulates, one.bar) for one in SCENARIOS)
    return Result("drill", ScenarioList(tuple(rows)))


def select(names: Sequence[str], bars: Mapping[str, Bar] | None = None) -> tuple[Scenario, ...]:
    """The scenarios called `names`, all where there is none, with the bars of `bars`.

    Raises:
        UsageError: no scenario is called so.
    """
    by_name = {one.name: one for one in SCENARIOS}
    for name in (*names, *(bars or {})):
        if name not in by_name:
            raise UsageError.of(
                "unknown-scenario",
                f"no scenario is called {name!r}{did_you_mean(name, by_name)}",
                remedy="`ernie-deploy drill --list` lists all",
            )
    chosen = [by_name[name] for name in names] or list(SCENARIOS)
    return tuple(replace(one, bar=(bars or {}).get(one.name, one.bar)) for one in chosen)


def drill(
    instance: InstanceDir, options: Options, on_step: OnStep
) -> Result[ScenarioList | DrillRun]:
    """Run the scenarios on a ready instance; afterwards it is ready again.

    Raises:
        UsageError: a scenario is not known.
        PreconditionError: the instance is not ready, or others use it.
    """
    scenarios = select(options.names, options.bars)
    subject = Subject.of(instance)
    restorer = Restorer.of(instance)
    if not options.in_use:
        refuse_if_used(subject)
    with _only_drill(instance), interruptible() as interrupt:
        return _Drill(subject, restorer, scenarios, options.rounds, on_step, interrupt).run()


@contextmanager
def _only_drill(instance: InstanceDir) -> Iterator[None]:
    """Hold the folder's lock in the block: two drills would measure each other.

    Raises:
        PreconditionError: another drill of this instance runs.
    """
    descriptor = os.open(instance.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not files.try_lock(descriptor):
            raise PreconditionError.of(
                "drill-running", f"another drill of {instance.name} runs", str(instance.folder),
                "wait for it, or interrupt it",
            )  # fmt: skip
        yield
    finally:
        os.close(descriptor)


class _Drill:
    """One run."""

    def __init__(
        self,
        subject: Subject,
        restorer: Restorer,
        scenarios: Sequence[Scenario],
        rounds: int,
        on_step: OnStep,
        interrupt: Interrupt,
    ) -> None:
        self.subject, self.restorer, self.scenarios = subject, restorer, scenarios
        self.rounds, self.on_step, self.interrupt = rounds, on_step, interrupt
        self.results: list[ScenarioResult] = []
        self.problems: list[Problem] = []
        self.began, self.load = time.time(), os.getloadavg()[0]

    def run(self) -> Result[ScenarioList | DrillRun]:
        """All scenarios, every round."""
        code = ExitCode.DONE
        undo = Undo()
        try:
            for number in range(1, self.rounds + 1):
                for scenario in self.scenarios:
                    self._one(scenario, number, undo)
        except KeyboardInterrupt:
            code = self.interrupt.exit_code
            self.problems.append(Problem("interrupted", "interrupted; every fault was undone"))
        except DeployError as error:
            code = error.exit_code
            self.problems.extend(error.problems)
        finally:
            # A second Ctrl-C does not keep a process stopped.
            self.interrupt.raises = False
            undo.close()
            self._restore()
        return self._outcome(code)

    def _one(self, scenario: Scenario, number: int, undo: Undo) -> None:
        self.on_step(scenario.name, None)
        self._keep_budget(scenario)
        result = self._measure(scenario, number, undo)
        self.results.append(result)
        self.on_step(scenario.name, result)
        self.restorer.restore(self.subject.instance)

    def _measure(self, scenario: Scenario, number: int, undo: Undo) -> ScenarioResult:
        """The result; a scenario that could not be carried out to its end has missed its bar."""
        try:
            subject = Subject.of(self.subject.instance)
            return measure(subject, scenario, number, undo, self.restorer)
        except PreconditionError as error:
            problem = error.problems[0]
            if problem.code in ABORTING:
                raise
            miss = Miss("carried out", 0, None, problem.message)
            return ScenarioResult(scenario.name, number, "miss", scenario.bar, misses=(miss,))

    def _keep_budget(self, scenario: Scenario) -> None:
        """Begin with a whole restart budget: a restart that it refuses could not be measured."""
        plan = self.subject.plan
        needs = scenario.course is Course.RESTARTED and self.subject.restarts
        if needs and restarts_left(plan, self.subject.instance.folder) < 1:
            self.restorer.renew(self.subject.instance)

    def _restore(self) -> None:
        self.interrupt.raises = True  # the instance may take long: a Ctrl-C ends the waiting
        name = self.subject.instance.name
        try:
            self.restorer.restore(self.subject.instance)
        except KeyboardInterrupt:
            self._not_restored("the wait for it was interrupted", name)
        except DeployError as error:
            self._not_restored("; ".join(problem.message for problem in error.problems), name)

    def _not_restored(self, reason: str, name: str) -> None:
        self.problems.append(
            Problem(
                "not-restored", f"{name} is not ready after the drill: {reason}",
                str(self.subject.instance.folder),
                f"`ernie-deploy status {name}`, then `ernie-deploy restart {name}`",
            )
        )  # fmt: skip

    def _outcome(self, code: ExitCode) -> Result[ScenarioList | DrillRun]:
        plan, missed = self.subject.plan, [r for r in self.results if r.verdict == "miss"]
        applicable = [r for r in self.results if r.verdict != "not applicable"]
        if missed:
            names = ", ".join(dict.fromkeys(one.scenario for one in missed))
            count = f"{len(missed)} of {len(applicable)}"
            self.problems.append(
                Problem(
                    "bar-missed", f"{count} drills missed a bar: {names}",
                    None, "the table names each value; `ernie-deploy logs NAME --source events`",
                )
            )  # fmt: skip
        if not applicable and not self.problems:
            code = ExitCode.PRECONDITION
            self.problems.append(
                Problem("nothing-drilled", "no scenario is applicable to this instance")
            )
        if self.problems and code is ExitCode.DONE:
            code = ExitCode.NEGATIVE
        started = datetime.datetime.fromtimestamp(self.began, datetime.timezone.utc)
        target = DrillTarget(
            plan.instance, plan.engine, plan.release, plan.base_url, plan.restart.policy
        )
        run = DrillRun(
            target, started.isoformat(timespec="seconds"), round(time.time() - self.began, 3),
            self.rounds, len(os.sched_getaffinity(0)), tuple(self.results),
            round(max(self.load, os.getloadavg()[0]), 1),
        )  # fmt: skip
        return Result("drill", run, plan.instance, code, tuple(self.problems))
