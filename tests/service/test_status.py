"""What `status` calls a service, from its state on disk and the states of its instances."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import ExitCode
from launcher.instance.instance_status import InstanceStatus
from launcher.lifecycle import InstanceState
from launcher.service import status
from launcher.service.model import Action, Member, Owner, Rollout, ServiceState
from launcher.service.payloads import StatusWithServices
from launcher.service.store import ServiceDir, service_dir, this_owner

OLD = tuple(Member(f"shop-aaaaaa-{n}", "aaaaaa", n, None, 256, known_to_door=True) for n in (1, 2))
NEW = Member("shop-bbbbbb-3", "bbbbbb", 3)
ROLLOUT = Rollout(
    "x", "deploy", "blue-green", "aaaaaa", "bbbbbb", 2, {}, OLD, (NEW,),
    (Action("start", (NEW.name,)), Action("commit")), Owner("ann", "gpu7", 1, "deploy", 0.0), 0.0,
)  # fmt: skip
STATE = ServiceState("shop", revision="aaaaaa", replicas=2, members=OLD)


@pytest.fixture
def shop(home: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceDir:
    """A service whose instances are all ready, if a test does not say otherwise."""
    service = service_dir("shop")
    service.write(STATE)
    with_states(monkeypatch, {})
    return service


def with_states(monkeypatch: pytest.MonkeyPatch, states: dict[str, InstanceState]) -> None:
    def state_of(name: str) -> InstanceState:
        return states.get(name, InstanceState.READY)

    monkeypatch.setattr(
        status, "describe",
        lambda instance, source: InstanceStatus(instance.name, state_of(instance.name)),
    )  # fmt: skip
    monkeypatch.setattr(status, "view", lambda instance: (state_of(instance.name), None, None))


@pytest.mark.parametrize(
    ("states", "condition", "ready", "message"),
    [
        ({}, "serving", 2, "shop is served by 2 of 2 replicas, revision aaaaaa"),
        ({"shop-aaaaaa-2": InstanceState.DIED}, "degraded", 1, "shop is served by 1 of 2 replicas"),
        ({"shop-door": InstanceState.DIED}, "down", 2, "shop is down: its front door"),
        (
            {one.name: InstanceState.STOPPED for one in OLD}, "down", 0,
            "shop is served by 0 of 2 replicas",
        ),
    ],
)  # fmt: skip
def test_the_condition_follows_from_replicas_and_door(
    shop: ServiceDir,
    monkeypatch: pytest.MonkeyPatch,
    states: dict[str, InstanceState],
    condition: str,
    ready: int,
    message: str,
) -> None:
    with_states(monkeypatch, states)
    row = status.describe_service(shop)
    assert (row.condition, row.ready) == (condition, ready)
    assert row.message.startswith(message)
    result = status.one_service(shop)
    ill = condition != "serving"
    assert result.exit_code is (ExitCode.NEGATIVE if ill else ExitCode.DONE)
    assert [one.code for one in result.errors] == (["service-not-serving"] if ill else [])


def test_a_stopped_service_is_no_problem(shop: ServiceDir) -> None:
    shop.write(replace(STATE, members=()))
    result = status.one_service(shop)
    assert isinstance(result.data, StatusWithServices)
    assert result.data.services[0].condition == "stopped"
    assert result.exit_code is ExitCode.DONE


def test_a_rollout_is_changing_while_its_command_runs_and_interrupted_after(
    shop: ServiceDir,
) -> None:
    shop.write(replace(STATE, rollout=ROLLOUT))
    with shop.locked(this_owner("deploy", "longer context")):
        row = status.describe_service(shop)
        assert row.condition == "changing"
        assert row.rollout is not None
        assert "longer context" in str(row.rollout.owner)
        assert "step 1 of 2 (start shop-bbbbbb-3)" in row.message
        assert status.one_service(shop).exit_code is ExitCode.DONE
    row = status.describe_service(shop)
    assert row.condition == "interrupted"
    assert "its command has ended" in row.message
    assert "deploy --resume shop" in str(row.remedy)


def test_weights_are_shown_as_shares(shop: ServiceDir) -> None:
    members = (replace(OLD[0], weight=28), replace(OLD[1], weight=256), NEW)
    shop.write(replace(STATE, members=members))
    row = status.describe_service(shop)
    assert [one.share for one in row.members] == [0.0986, 0.9014, 0.0]
    assert row.ready == 2, "a replica without traffic does not serve"
