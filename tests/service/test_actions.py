"""The steps of a rollout, and the way back from each of them."""

from dataclasses import replace

import pytest

from launcher.profile.service import RolloutSettings
from launcher.service import actions
from launcher.service.model import FULL, STANDBY, Action, Member, Owner, Rollout, ServiceState

OLD = (Member("s-aaaaaa-1", "aaaaaa", 1), Member("s-aaaaaa-2", "aaaaaa", 2))
NEW = (Member("s-bbbbbb-3", "bbbbbb", 3), Member("s-bbbbbb-4", "bbbbbb", 4))
SETTINGS = RolloutSettings(canary=(0.1,), canary_watch=5, watch=60)


def kinds(steps: tuple[Action, ...]) -> list[str]:
    return [step.kind for step in steps]


def test_blue_green_stops_the_old_revision_only_after_the_watch() -> None:
    steps = actions.forward("blue-green", OLD, NEW, SETTINGS)
    assert kinds(steps) == [
        "start", "prove", "door", "shift", "watch", "shift", "watch", "retire", "commit",
    ]  # fmt: skip
    canary, complete = (step for step in steps if step.kind == "shift")
    assert canary.share == 0.1
    assert canary.weights == {
        "s-aaaaaa-1": FULL, "s-aaaaaa-2": FULL, "s-bbbbbb-3": 28, "s-bbbbbb-4": 28,
    }  # fmt: skip
    # The old ones stand by, so that a new one that dies costs no request.
    assert complete.weights == {
        "s-aaaaaa-1": STANDBY, "s-aaaaaa-2": STANDBY, "s-bbbbbb-3": FULL, "s-bbbbbb-4": FULL,
    }  # fmt: skip
    assert steps[-2].members == ("s-aaaaaa-1", "s-aaaaaa-2")


def test_a_first_deploy_has_no_canary_and_nothing_to_watch_against() -> None:
    steps = actions.forward("blue-green", (), NEW, SETTINGS)
    assert kinds(steps) == ["start", "prove", "door", "shift", "commit"]


def test_rolling_always_keeps_as_many_replicas_as_there_were() -> None:
    steps = actions.forward("rolling", OLD, NEW, SETTINGS)
    present = {one.name for one in OLD}
    for step in steps:
        if step.kind == "start":
            present |= set(step.members)
        if step.kind == "retire":
            present -= set(step.members)
        assert len(present) >= len(OLD)
    assert present == {one.name for one in NEW}


@pytest.mark.parametrize("more", [1, 3])
def test_rolling_to_another_number_of_replicas_ends_with_the_new_ones(more: int) -> None:
    new = tuple(Member(f"s-bbbbbb-{n}", "bbbbbb", n) for n in range(3, 3 + more))
    steps = actions.forward("rolling", OLD, new, SETTINGS)
    retired = [name for step in steps if step.kind == "retire" for name in step.members]
    assert retired == [one.name for one in OLD]
    started = [name for step in steps if step.kind == "start" for name in step.members]
    assert started == [one.name for one in new]


def test_recreate_stops_first() -> None:
    steps = actions.forward("recreate", OLD, NEW, SETTINGS)
    assert kinds(steps) == ["retire", "start", "prove", "door", "shift", "watch", "commit"]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(("old", "new"), [(1, 1), (3, 1), (1, 4)])
def test_weights_give_the_new_revision_its_share(share: float, old: int, new: int) -> None:
    olds, new_ones = [f"o{n}" for n in range(old)], [f"n{n}" for n in range(new)]
    weights = actions.shared_weights(olds, new_ones, share)
    total = sum(weights.values())
    actual = sum(weights[name] for name in new_ones) / total
    # A weight is a whole number from 1 to 256.
    assert actual == pytest.approx(share, abs=0.5 * new / total + 0.005)
    assert all(1 <= weight <= FULL for weight in weights.values())


def rollout(strategy: str) -> Rollout:
    steps = actions.forward(strategy, OLD, NEW, SETTINGS)
    return Rollout(
        "1", "deploy", strategy, "aaaaaa", "bbbbbb", 2, {}, OLD, NEW, steps,  # type: ignore[arg-type]
        Owner("root", "here", 1, "deploy", 0.0), 0.0,
    )  # fmt: skip


def test_the_way_back_gives_the_traffic_back_before_it_stops_anything() -> None:
    state = ServiceState("s", members=(*OLD, *NEW))
    steps = actions.back(state, rollout("blue-green"))
    assert kinds(steps) == ["door", "shift", "retire", "commit"]
    assert steps[1].weights == {
        "s-aaaaaa-1": FULL, "s-aaaaaa-2": FULL, "s-bbbbbb-3": 0, "s-bbbbbb-4": 0,
    }  # fmt: skip
    assert steps[2].members == ("s-bbbbbb-3", "s-bbbbbb-4")


def test_the_way_back_starts_what_rolling_has_stopped_already() -> None:
    state = ServiceState("s", members=(OLD[1], NEW[0]))
    steps = actions.back(state, rollout("rolling"))
    assert kinds(steps) == ["start", "door", "shift", "retire", "commit"]
    assert steps[0].members == ("s-aaaaaa-1",)
    assert steps[-2].members == ("s-bbbbbb-3",)


def test_the_way_back_from_recreate_makes_room_first() -> None:
    state = ServiceState("s", members=NEW)
    steps = actions.back(state, rollout("recreate"))
    assert kinds(steps) == ["retire", "start", "door", "shift", "commit"]
    assert steps[1].members == ("s-aaaaaa-1", "s-aaaaaa-2")


def test_a_first_deploy_that_fails_leaves_nothing() -> None:
    state = ServiceState("s", members=NEW)
    steps = actions.back(state, replace(rollout("blue-green"), old=()))
    assert kinds(steps) == ["retire", "commit"]


def test_scaling_up_proves_before_it_shares_and_scaling_down_drains() -> None:
    up = actions.scale(OLD, NEW[:1], ())
    assert kinds(up) == ["start", "prove", "door", "shift", "commit"]
    assert up[3].weights == {"s-aaaaaa-1": FULL, "s-aaaaaa-2": FULL, "s-bbbbbb-3": FULL}
    down = actions.scale(OLD, (), OLD[1:])
    assert kinds(down) == ["door", "shift", "retire", "commit"]
    assert down[1].weights == {"s-aaaaaa-1": FULL, "s-aaaaaa-2": 0}
