"""Which instances a group has, with which GPUs, and in which order they start."""

import json
from pathlib import Path
from typing import Any

import pytest

from launcher import engines, profile
from launcher.errors import PreconditionError
from launcher.profile.model import Profile
from launcher.service import groups
from launcher.service.model import Member, Part
from launcher.service.revision import profile_of, revision_of, section_of
from tests.support.decoded import JsonDict
from tests.twin.interpreter import make_interpreter


def load(folder: Path, group: JsonDict | None, **keys: Any) -> Profile:
    """A profile whose replicas are groups, or single instances where `group` is None."""
    service: JsonDict = {"replicas": 1} if group is None else {"group": group}
    document = {
        "name": "pair", "engine": "fastdeploy", "model": "someone/some-model", "service": service,
        "python": str(make_interpreter(folder / "env", "2.5")),
        **keys,
    }  # fmt: skip
    path = folder / "p.yaml"
    path.write_text(json.dumps(document))
    return profile.load(str(path))


def member(one: Profile, gpus: tuple[str, ...] | None = None) -> Member:
    name = "pair-abcdef-1"
    return Member(name, "abcdef", 1, gpus, parts=groups.parts_of(one, name, gpus))


def test_gpus_are_divided_in_order(tmp_path: Path) -> None:
    one = load(tmp_path, {"prefill": {"replicas": 2, "tensor-parallel-size": 2},
                          "decode": {"tensor-parallel-size": 1}})  # fmt: skip
    assert groups.parts_of(one, "p", ("4", "5", "6", "7", "0")) == (
        Part("p-prefill1", "prefill", ("4", "5")),
        Part("p-prefill2", "prefill", ("6", "7")),
        Part("p-decode1", "decode", ("0",)),
    )
    assert [part.gpus for part in groups.parts_of(one, "p", None)] == [None, None, None]


def test_a_single_instance_has_no_parts(tmp_path: Path) -> None:
    one = load(tmp_path, None)
    assert groups.parts_of(one, "p", ("0",)) == ()
    assert [(r.name, r.after) for r in groups.launches([(member(one), one)])] == [
        ("pair-abcdef-1", None)
    ]


def test_each_instance_starts_after_the_router_of_its_own_group(tmp_path: Path) -> None:
    one = load(tmp_path, {})
    second = Member("pair-abcdef-2", "abcdef", 2, parts=groups.parts_of(one, "pair-abcdef-2", None))
    launches = groups.launches([(member(one), one), (second, one)])
    assert [(launch.name, launch.after) for launch in launches] == [
        ("pair-abcdef-1", None),
        ("pair-abcdef-1-prefill1", "pair-abcdef-1"),
        ("pair-abcdef-1-decode1", "pair-abcdef-1"),
        ("pair-abcdef-2", None),
        ("pair-abcdef-2-prefill1", "pair-abcdef-2"),
        ("pair-abcdef-2-decode1", "pair-abcdef-2"),
    ]


def test_a_replica_stops_its_router_first(tmp_path: Path) -> None:
    """`Member.instances` is in the order of starting, and stopping goes the other way."""
    assert list(reversed(member(load(tmp_path, {})).instances)) == [
        "pair-abcdef-1", "pair-abcdef-1-decode1", "pair-abcdef-1-prefill1",
    ]  # fmt: skip


def test_the_profiles_of_a_group(tmp_path: Path) -> None:
    one = load(tmp_path, {"router": "python"}, gpus=[0, 1])
    router, prefill, decode = groups.profiles_of(one, member(one, ("0", "1")))
    assert (router.name, router.engine) == ("pair-abcdef-1", "fastdeploy-router")
    assert router.engine_args["peers"] == ["pair-abcdef-1-prefill1", "pair-abcdef-1-decode1"]
    assert router.gpus is None
    assert (prefill.gpus, decode.gpus) == (("0",), ("1",))
    assert {prefill.host, decode.host} == {"0.0.0.0"}
    assert router.host == "127.0.0.1"


def test_a_missing_go_router_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    one = load(tmp_path, {"router": "go"})
    with pytest.raises(PreconditionError) as caught:
        groups.router_profile(one, member(one))
    (problem,) = caught.value.problems
    assert problem.code == "missing-router"
    assert problem.where == one.where("service.group.router")
    assert "/usr/local/bin/fd-router" in (problem.remedy or "")


def test_auto_takes_the_go_router_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "fd-router"
    monkeypatch.setenv("PATH", str(tmp_path))
    one = load(tmp_path, {})
    assert groups.router_profile(one, member(one)).engine_args["kind"] == "python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    router = groups.router_profile(one, member(one))
    assert (router.engine_args["kind"], router.engine_args["program"]) == ("go", str(program))


def test_memory_is_planned_for_each_role(tmp_path: Path) -> None:
    single = tmp_path / "single"
    single.mkdir()
    one = load(tmp_path, {"decode": {"max-num-seqs": 4}})
    roles = groups.memory_profiles(one)
    assert [(role, p.max_num_seqs) for role, p in roles] == [
        ("prefill instance", None), ("decode instance", 4),
    ]  # fmt: skip
    assert [role for role, _ in groups.memory_profiles(load(single, None))] == ["replica"]


def test_a_group_is_part_of_its_revision(tmp_path: Path) -> None:
    """Another flag of prefill is another revision, and a rollback brings the old group back."""
    release = engines.get("fastdeploy").release("2.5.0")
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    old = load(first, {"prefill": {"replicas": 2}}, python="/env/bin/python")
    new = load(second, {"prefill": {"replicas": 1}}, python="/env/bin/python")
    revision = revision_of(old, release)
    assert revision.digest != revision_of(new, release).digest
    assert revision.digest == revision_of(old, release).digest
    again = profile_of(revision, section_of(new))
    assert [part.role for part in groups.parts_of(again, "p", None)] == [
        "prefill", "prefill", "decode",
    ]  # fmt: skip
    single = load(tmp_path, None, python="/env/bin/python")
    back = profile_of(revision_of(single, release), section_of(new))
    assert groups.parts_of(back, "p", None) == ()
