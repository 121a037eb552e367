"""The restart policy in a stored plan; plans of earlier releases are read as well."""

import pytest

from launcher.codec import encode_object
from launcher.plan.model import LaunchPlan, read_plan
from launcher.plan.restart import RestartPolicy
from tests.support.decoded import JsonDict

PLAN = LaunchPlan(
    instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
    log_folder="/nowhere", temporary_folder="/nowhere", restart=RestartPolicy("always", 7, 30.0),
)  # fmt: skip


def stored(**changes: object) -> JsonDict:
    """A plan as a release before the policy stored it."""
    plan: JsonDict = dict(encode_object(PLAN))
    del plan["restart"]
    return {**plan, **changes}


def test_a_plan_is_read_as_it_was_written() -> None:
    assert read_plan(encode_object(PLAN)) == PLAN


def test_a_plan_of_an_earlier_release_keeps_its_restarts() -> None:
    former = {"restart_policy": "on-failure", "max_restarts": 3, "restart_delay": 5.0}
    restart = read_plan(stored(**former)).restart
    assert (restart.policy, restart.max_restarts) == ("on-failure", 3)
    assert (restart.first_delay, restart.max_delay, restart.jitter) == (5, 5, 0)
    assert restart.window > 10**8, "it counted over the keeper's whole life"
    assert restart.on_stall == "report", "there were no stalls"


@pytest.mark.parametrize(
    "former",
    [
        {},
        {"restart_policy": "never", "max_restarts": 3},
        {"restart_policy": None, "max_restarts": "x"},
    ],
)
def test_one_that_never_restarted_still_does_not(former: JsonDict) -> None:
    assert read_plan(stored(**former)).restart.policy == "never"


@pytest.mark.parametrize(
    ("policy", "on_stall", "ends"),
    [("on-failure", "restart", True), ("always", "restart", True), ("always", "report", False),
     ("never", "restart", False)],
)  # fmt: skip
def test_a_stalled_engine_is_ended_only_to_be_started_again(
    policy: str, on_stall: str, ends: bool
) -> None:
    restart = RestartPolicy(policy, on_stall=on_stall)  # type: ignore[arg-type]
    assert restart.ends_stalled == ends
