"""A service on disk: what is read back, who may write, what is kept and for how long."""

import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from launcher.errors import DeployError, PreconditionError, UsageError
from launcher.service.model import HistoryEntry, Member, Owner, Revision, ServiceState
from launcher.service.store import (
    KEPT_RETIRED,
    KEPT_REVISIONS,
    ServiceDir,
    every_service,
    find_service,
    open_service,
    service_dir,
    service_of,
    this_owner,
)

MEMBERS = (Member("shop-aaaaaa-1", "aaaaaa", 1, ("0",), 256, known_to_door=True),)


@pytest.fixture
def shop(home: Path) -> ServiceDir:
    service = service_dir("shop")
    service.write(ServiceState("shop", revision="aaaaaa", replicas=1, members=MEMBERS))
    return service


def revision(number: int) -> Revision:
    name = f"{number:06x}"
    return Revision(name, name * 4, "scripted", "1.0", {"name": "shop"}, created_at=float(number))


def entry(name: str) -> HistoryEntry:
    return HistoryEntry(
        name, "deploy", 1.0, 2.0, "ann", "gpu7", "", None, "aaaaaa", "scripted", "1.0",
        "blue-green", 1, "", "serving",
    )  # fmt: skip


def code(error: DeployError) -> str:
    return error.problems[0].code


def test_what_was_written_is_read_back(shop: ServiceDir) -> None:
    state = shop.read()
    assert state.members == MEMBERS
    assert state.member("shop-aaaaaa-1") == MEMBERS[0]
    path = shop.folder / "service.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(shop.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "ernie-deploy/service/9"}', "\xff"])
def test_a_damaged_state_is_refused_with_its_path(shop: ServiceDir, text: str) -> None:
    (shop.folder / "service.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(PreconditionError) as caught:
        shop.read()
    assert code(caught.value) == "damaged-service"
    assert caught.value.problems[0].where == str(shop.folder / "service.json")


def test_a_copied_folder_is_not_this_service(shop: ServiceDir) -> None:
    second = service_dir("other")
    second.folder.mkdir(parents=True)
    (second.folder / "service.json").write_bytes((shop.folder / "service.json").read_bytes())
    with pytest.raises(PreconditionError, match="'shop'"):
        second.read()


def test_names_are_short_enough_for_those_of_replicas(home: Path) -> None:
    assert service_dir("a" * 38).name == "a" * 38
    for name in ("a" * 39, "", "-a", "A", "a/b", "..", "a_b"):
        with pytest.raises(UsageError):
            service_dir(name)
        assert find_service(name) is None


def test_an_unknown_service_names_the_nearest(shop: ServiceDir) -> None:
    assert [one.name for one in every_service()] == ["shop"]
    with pytest.raises(UsageError, match="did you mean 'shop'"):
        open_service("shpo")


def test_an_instance_is_found_by_its_service(shop: ServiceDir) -> None:
    assert service_of("shop-aaaaaa-1") == (shop, MEMBERS[0])
    assert service_of("shop-door") == (shop, None)
    assert service_of("shop-aaaaaa-2") is None
    assert service_of("shopping-aaaaaa-1") is None


def test_revisions_are_kept_while_they_are_needed(shop: ServiceDir) -> None:
    for number in range(KEPT_REVISIONS + 5):
        shop.keep_revision(revision(number), (f"{1:06x}", None))
    kept = [one.id for one in shop.revisions()]
    assert kept[0] == f"{1:06x}"
    assert kept[1:] == [f"{n:06x}" for n in range(5, KEPT_REVISIONS + 5)]
    assert shop.revision(kept[-1]).created_at == KEPT_REVISIONS + 4
    with pytest.raises(UsageError) as caught:
        shop.revision("ffffff")
    assert code(caught.value) == "unknown-revision"


def test_the_history_outlives_a_torn_line(shop: ServiceDir) -> None:
    shop.append_history(entry("one"))
    with (shop.folder / "history.jsonl").open("a") as file:
        file.write('{"id": "to\n')
    shop.append_history(entry("two"))
    assert [one.id for one in shop.history()] == ["one", "two"]
    assert stat.S_IMODE((shop.folder / "history.jsonl").stat().st_mode) == 0o600


def test_one_writer_at_a_time(shop: ServiceDir) -> None:
    """Another process is refused and told who is at work; a dead one locks nothing."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(shop, there))
    process.start()
    assert here.recv() == "locked"
    refused = pytest.raises(PreconditionError, match=f"pid {process.pid}, a test")
    with refused as caught, shop.locked(this_owner("deploy")):
        pass
    assert code(caught.value) == "service-locked"
    process.kill()
    process.join()
    assert shop.owner() is None
    with shop.locked(this_owner("deploy")):
        owner = shop.owner()
        assert owner is not None
        assert owner.pid == os.getpid()


def _hold(service: ServiceDir, there: "multiprocessing.connection.Connection") -> None:
    with service.locked(this_owner("a test")):
        there.send("locked")
        there.recv()


def test_people_lock_it_with_a_reason(shop: ServiceDir) -> None:
    shop.check_hold()
    shop.set_hold(Owner("ann", "gpu7", 1, "lock", 0.0, "a load test"))
    with pytest.raises(PreconditionError, match=r"ann locked shop at 1970-01-0.*: a load test"):
        shop.check_hold()
    shop.set_hold(None)
    shop.check_hold()


def test_only_the_newest_replaced_instances_are_kept(shop: ServiceDir) -> None:
    for number in range(KEPT_RETIRED + 2):
        folder = shop.folder.parent / f"i{number}"
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps({"n": number}))
        shop.retire(folder)
        os.utime(shop.folder / "retired" / f"i{number}", (number, number))
    kept = sorted(path.name for path in (shop.folder / "retired").iterdir())
    assert kept == [f"i{number}" for number in range(2, KEPT_RETIRED + 2)]
    shop.retire(shop.folder.parent / "missing")
