"""Which strategy fits a machine, and which GPUs each new replica gets."""

import pytest

from launcher.errors import DeployError
from launcher.service.layout import GIB, Room, layout
from launcher.service.model import Member


def replicas(*sets: tuple[str, ...]) -> list[Member]:
    return [Member(f"s-aaaaaa-{n}", "aaaaaa", n, gpus) for n, gpus in enumerate(sets, 1)]


FOUR = Room(sets=(("0",), ("1",), ("2",), ("3",)), figures="a replica takes 70.0 GiB")


def test_two_revisions_fit_together_and_get_gpus_of_their_own() -> None:
    decided = layout("auto", FOUR, replicas(("0",), ("2",)), 2)
    assert decided.strategy == "blue-green"
    assert decided.devices == (("1",), ("3",))


def test_where_one_more_replica_fits_they_are_replaced_one_after_the_other() -> None:
    decided = layout("auto", FOUR, replicas(("0",), ("1",), ("2",)), 3)
    assert decided.strategy == "rolling"
    # The free GPU first, then those that become free by it.
    assert decided.devices == (("3",), ("0",), ("1",))


def test_nothing_is_stopped_where_not_even_one_more_fits() -> None:
    full = replicas(("0",), ("1",), ("2",), ("3",))
    with pytest.raises(DeployError) as refused:
        layout("auto", FOUR, full, 4)
    (problem,) = refused.value.problems
    assert problem.code == "strategy-impossible"
    assert "there are 0 free sets of GPUs of 4 (a replica takes 70.0 GiB)" in problem.message
    assert "--strategy recreate" in (problem.remedy or "")


def test_recreate_takes_the_gpus_of_the_replicas_that_stop() -> None:
    decided = layout("recreate", FOUR, replicas(("0",), ("1",), ("2",), ("3",)), 4)
    assert decided.strategy == "recreate"
    assert decided.devices == (("0",), ("1",), ("2",), ("3",))


@pytest.mark.parametrize(
    ("requested", "remedy"), [("blue-green", "--strategy rolling"), ("rolling", "recreate")]
)
def test_a_requested_strategy_that_does_not_fit_is_refused(requested: str, remedy: str) -> None:
    old = replicas(("0",), ("1",), ("2",)) if requested == "blue-green" else replicas(
        ("0",), ("1",), ("2",), ("3",)
    )  # fmt: skip
    with pytest.raises(DeployError) as refused:
        layout(requested, FOUR, old, len(old))  # type: ignore[arg-type]
    assert remedy in (refused.value.problems[0].remedy or "")


def test_host_memory_decides_where_no_gpu_does() -> None:
    room = Room(memory_free=5 * GIB, memory_need=2 * GIB)
    old = [Member(f"s-aaaaaa-{n}", "aaaaaa", n) for n in (1, 2, 3)]
    assert layout("auto", room, old[:2], 2).strategy == "blue-green"
    decided = layout("auto", room, old, 3)
    assert decided.strategy == "rolling"
    assert "3 replicas more would take 6.0 GiB of host memory, and 5.0 GiB are available" in (
        decided.reason
    )
    assert decided.devices == (None, None, None)


def test_a_first_deploy_that_does_not_fit_says_so() -> None:
    with pytest.raises(DeployError, match="5 replicas do not fit on this machine"):
        layout("auto", FOUR, [], 5)


def test_more_replicas_than_before_need_room_for_all() -> None:
    decided = layout("auto", FOUR, replicas(("0",)), 3)
    assert decided.strategy == "blue-green"
    with pytest.raises(DeployError):
        layout("auto", FOUR, replicas(("0",), ("1",)), 5)
