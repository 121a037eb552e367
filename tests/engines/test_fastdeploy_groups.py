"""Groups of prefill and decode instances: what a release allows, and what each instance runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from launcher import engines, profile
from launcher.engines.base import GroupFacts, PlanContext
from launcher.errors import Problem
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from tests.support.decoded import JsonDict

ENGINE = engines.get("fastdeploy")


def load(folder: Path, group: JsonDict | None = None, **keys: Any) -> Profile:
    """A profile whose replicas are groups."""
    service = {"group": group or {}, **keys.pop("service", {})}
    path = folder / "p.yaml"
    document = {
        "name": "pair", "engine": "fastdeploy", "model": "someone/some-model", "service": service,
        **{key.replace("_", "-"): value for key, value in keys.items()},
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=1))
    return profile.load(str(path))


def facts() -> GroupFacts:
    groups = ENGINE.groups
    assert groups is not None
    return groups


def judge(one: Profile, version: str) -> list[Problem]:
    return ENGINE.validate(one, ENGINE.release(version))


def plan(one: Profile, version: str = "2.5.0") -> LaunchPlan:
    engine = engines.get(one.engine)
    release = engine.release(version)
    ports = {need.name: 20000 + 10 * n for n, need in enumerate(engine.ports(one, release))}
    folder = Path("/state/instances") / one.name
    context = PlanContext(
        "/env/bin/python", release, ports, folder / "logs" / "engine", Path("/tmp/ed-1")
    )
    return engine.plan(one, context)


WRONG: list[tuple[str, JsonDict, JsonDict, str, str]] = [
    ("2.3.2", {}, {}, "service.group", "FastDeploy 2.3 has no router"),
    ("2.4.0", {"router": "go"}, {}, "service.group.router", "FastDeploy 2.4 has no router 'go'"),
    ("2.5.0", {"router": "python"}, {"api_key": "env:KEY"}, "api-key", "forwards no headers"),
    ("2.4.0", {}, {"api_key": "env:KEY"}, "api-key", "forwards no headers"),
    ("2.4.0", {"decode": {"tensor-parallel-size": 4}}, {"tensor_parallel_size": 2},
     "service.group.decode.tensor-parallel-size", "answers every request with 400"),
    ("2.5.0", {"prefill": {"tensor-parallel-size": 4}}, {"tensor_parallel_size": 2},
     "service.group.prefill.tensor-parallel-size", "4 for prefill and 2 for decode"),
    ("2.5.0", {"prefill": {"engine-args": {"cache-transfer-protocol": "rdma"}},
               "decode": {"engine-args": {"cache-transfer-protocol": "ipc"}}}, {},
     "service.group.prefill.engine-args.cache-transfer-protocol", "sends the KV cache by rdma"),
    ("2.4.0", {"decode": {"engine-args": {"cache-transfer-protocol": "rdma"}}}, {},
     "service.group.decode.engine-args.cache-transfer-protocol", "sends the KV cache by ipc"),
    ("2.5.0", {}, {"engine_args": {"router": "10.0.0.1:9000"}}, "engine-args.router",
     "each group has a router of its own"),
    ("2.5.0", {"decode": {"engine-args": {"splitwise-role": "prefill"}}}, {},
     "service.group.decode.engine-args.splitwise-role", "gives each instance its role"),
    ("2.5.0", {}, {"engine_args": {"scheduler-name": "global"}}, "engine-args.scheduler-name",
     "would mix groups"),
    ("2.5.0", {"decode": {"max-num-seqs": 900}}, {}, "service.group.decode.max-num-seqs",
     "max-num-seqs is 900"),
    ("2.5.0", {"prefill": {"engine-args": {"no-such": 1}}}, {},
     "service.group.prefill.engine-args.no-such", "no flag --no-such"),
    ("2.5.0", {"decode": {"env": {"FD_LOG_DIR": "/x"}}}, {},
     "service.group.decode.env.FD_LOG_DIR", "is set by ernie-deploy"),
    ("2.5.0", {"prefill": {"replicas": 2}}, {"service": {"gpus": [["0", "1"]]}}, "service.gpus",
     "a set of 2 GPUs (0,1) is not what a group takes: 3 (2 prefill x 1 and 1 decode x 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "group", "keys", "where", "text"), WRONG)
def test_what_is_wrong_is_told_at_its_place(
    tmp_path: Path, version: str, group: JsonDict, keys: JsonDict, where: str, text: str
) -> None:
    one = load(tmp_path, group, **keys)
    problems = [p for p in judge(one, version) if text in p.message]
    assert [p.where for p in problems] == [one.where(where)], judge(one, version)
    assert (problems[0].where or "").count(":") == 2  # file, line and column


RIGHT: list[tuple[str, JsonDict, JsonDict]] = [
    ("2.4.0", {}, {}),
    ("2.4.0", {"decode": {"tensor-parallel-size": 1}}, {"tensor_parallel_size": 2}),
    ("2.6.0", {"decode": {"tensor-parallel-size": 4}}, {"tensor_parallel_size": 2}),
    ("2.5.0", {"router": "go"}, {"api_key": "env:KEY"}),
    ("2.5.0", {}, {"api_key": "env:KEY"}),
    ("2.5.0", {"prefill": {"replicas": 2, "tensor-parallel-size": 2},
               "decode": {"tensor-parallel-size": 1}},
     {"service": {"gpus": [["0", "1", "2", "3", "4"]]}}),
]  # fmt: skip


@pytest.mark.parametrize(("version", "group", "keys"), RIGHT)
def test_what_is_right_is_admitted(
    tmp_path: Path, version: str, group: JsonDict, keys: JsonDict
) -> None:
    assert judge(load(tmp_path, group, **keys), version) == []


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_other_engines_refuse_groups(tmp_path: Path, engine: str) -> None:
    one = load(tmp_path)
    second = load(tmp_path, engine=engine)
    problems = engines.get(engine).validate(second, None)
    assert ("key-not-supported", one.where("service.group")) in [
        (p.code, p.where) for p in problems
    ]


def test_an_instance_has_its_role_its_router_and_what_its_kind_adds(tmp_path: Path) -> None:
    one = load(
        tmp_path,
        {"decode": {"max-num-seqs": 64, "tensor-parallel-size": 1,
                    "engine-args": {"block_size": 32}, "env": {"A": "2"}}},
        max_num_seqs=8, tensor_parallel_size=2, engine_args={"block-size": 64}, env={"A": "1"},
    )  # fmt: skip
    decode = plan(facts().part(one, "decode", "127.0.0.1:30000"))
    command = " ".join(decode.argv)
    assert "--splitwise-role decode" in command
    assert "--router 127.0.0.1:30000" in command
    assert "--max-num-seqs 64" in command
    assert "--tensor-parallel-size 1" in command
    assert command.count("--block-size") == 1
    assert "--block-size 32" in command
    assert {e.name: e.value for e in decode.env}["A"] == "2"
    prefill = plan(facts().part(one, "prefill", "127.0.0.1:30000"))
    assert "--block-size 64" in " ".join(prefill.argv)
    assert {e.name: e.value for e in prefill.env}["A"] == "1"
    assert [(p.role, p.count, p.gpus) for p in facts().parts(one)] == [
        ("prefill", 1, 2), ("decode", 1, 1),
    ]  # fmt: skip


def test_an_instance_listens_where_the_router_looks_and_is_asked_for_no_completion(
    tmp_path: Path,
) -> None:
    """It registers under the machine's own address, and half a pair cannot answer."""
    part = plan(facts().part(load(tmp_path), "prefill", "127.0.0.1:30000"))
    assert part.port("api").address == "0.0.0.0"
    assert part.readiness.completion == {}
    assert part.liveness is not None
    assert not part.liveness.canary


def router(folder: Path, version: str, program: str | None = None, **keys: Any) -> LaunchPlan:
    one = load(folder, {"prefill": {"replicas": 2}}, **keys)
    router_plan = facts().router(one, ENGINE.release(version), program)
    return plan(router_plan, version)


def test_the_python_router(tmp_path: Path) -> None:
    router_plan = router(tmp_path, "2.4.0")
    assert router_plan.argv == (
        "/env/bin/python", "-m", "fastdeploy.router.launch", "--host", "127.0.0.1", "--port",
        "20000", "--splitwise", "--request-timeout-secs", "1800",
    )  # fmt: skip
    assert router_plan.readiness.health_path == "/registered_number"
    assert router_plan.readiness.health_minimum == {"prefill": 2, "decode": 1}
    assert router_plan.readiness.models_path is None
    assert router_plan.readiness.completion["model"] == "someone/some-model"
    assert router_plan.port("api").address == "127.0.0.1"
    assert router_plan.restart.policy == "never"  # instances of 2.4 register once
    assert router_plan.liveness is not None
    assert not router_plan.liveness.canary


def test_the_go_router(tmp_path: Path) -> None:
    router_plan = router(tmp_path, "2.5.0", "/opt/fd-router", api_key="env:KEY")
    assert router_plan.argv == ("/opt/fd-router", "--port", "20000", "--splitwise")
    assert router_plan.port("api").address == "0.0.0.0"  # whatever is asked for
    assert router_plan.cwd == "/state/instances/pair/logs/engine"  # it logs to ./logs/router.log
    assert router_plan.secrets == {"FD_API_KEY": "env:KEY"}
    assert router_plan.readiness.auth_secret == "FD_API_KEY"
    assert router_plan.restart.policy == "on-failure"


def test_which_program_the_router_is(tmp_path: Path) -> None:
    def program(version: str, group: JsonDict, **keys: Any) -> tuple[str, bool]:
        return facts().program(load(tmp_path, group, **keys), ENGINE.release(version))

    assert program("2.4.0", {}) == ("", False)
    assert program("2.5.0", {}) == ("fd-router", False)
    assert program("2.5.0", {"router": "python"}) == ("", False)
    assert program("2.5.0", {"router": "go"}) == ("fd-router", True)
    assert program("2.6.0", {}, api_key="env:KEY") == ("fd-router", True)


def test_a_router_promises_what_its_instances_answer(tmp_path: Path) -> None:
    one = load(tmp_path)
    router_plan = facts().router(one, ENGINE.release("2.5.0"), None)
    engine = engines.get("fastdeploy-router")
    promised = engine.capabilities(router_plan, ENGINE.release("2.5.0"))
    assert {"chat", "stream", "completions", "usage"} <= promised
    assert not {"models", "metrics", "settings", "auth"} & promised
    assert engine.answers_of == "fastdeploy"


def test_a_wrong_router_profile_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    router_plan = facts().router(load(tmp_path), ENGINE.release("2.5.0"), None)
    wrong = replace(router_plan, engine_args={"kind": "go", "prefill": 1, "decode": 0, "extra": 1})
    codes = [p.code for p in engines.get("fastdeploy-router").validate(wrong, None)]
    assert sorted(codes) == ["missing-key", "unknown-flag", "wrong-value"]
