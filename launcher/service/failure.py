"""A step of a rollout that did not succeed."""

from __future__ import annotations

from launcher.errors import ExitCode, Problem
from launcher.service.model import Failure


class StepFailed(Exception):  # noqa: N818 - what happened to a step
    """One action failed: the rollout goes back."""

    def __init__(self, problem: Problem, exit_code: ExitCode) -> None:
        """`exit_code` is what the command ends with once the old revision serves alone."""
        super().__init__(problem.message)
        self.problem = problem
        self.exit_code = exit_code

    def record(self) -> Failure:
        """The failure as it is kept with the rollout."""
        problem = self.problem
        return Failure(
            problem.code, problem.message, int(self.exit_code), problem.where, problem.remedy
        )


def problem_of(failure: Failure) -> Problem:
    """A recorded failure as a problem of a result."""
    return Problem(failure.code, failure.message, failure.where, failure.remedy)
