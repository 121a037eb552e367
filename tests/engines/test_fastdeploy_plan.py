"""FastDeploy's launch plan: whole commands, the environment, leftovers, readiness, signals."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from launcher import profile as profiles
from launcher.codec import encode
from launcher.engines import get
from launcher.engines.fastdeploy.leftovers import SIGNALS
from launcher.errors import PreconditionError, ProfileError
from launcher.plan.model import FtokKey, LaunchPlan, SettingCheck, read_plan
from launcher.profile.model import SecretRef, Stop
from tests.engines import making, rebuilt
from tests.engines.making import Parsers

SHIPPED = Path(__file__).parents[2] / "profiles"

HEAD = "/venv/bin/python -m fastdeploy.entrypoints.openai.api_server"
CARD_FLAGS = {
    "--model": "baidu/ERNIE-4.5-21B-A3B-Thinking",
    "--port": "8180",
    "--metrics-port": "8181",
    "--engine-worker-queue-port": "8182",
    "--load-choices": "default_v1",
    "--tensor-parallel-size": "1",
    "--max-model-len": "131072",
    "--reasoning-parser": "ernie_x1",
    "--tool-call-parser": "ernie_x1",
    "--max-num-seqs": "32",
}
"""The model card's command, flag by flag."""

THINKING = (
    "--model baidu/ERNIE-4.5-21B-A3B-Thinking --host 127.0.0.1 --port 8180 --metrics-port 8181 "
    "--engine-worker-queue-port 8182 --cache-queue-port 8183 --max-model-len 131072 "
    "--max-num-seqs 32 --tensor-parallel-size 1 --reasoning-parser ernie_x1 "
    "--tool-call-parser ernie_x1 {load} default_v1"
)


def shipped(name: str, version: str) -> LaunchPlan:
    return making.plan(profiles.load(str(SHIPPED / f"{name}.yaml")), version)


def card(version: str = "2.4.0", **more: Any) -> LaunchPlan:
    return making.plan(making.profile(**{**making.CARD, **more}), version)


@pytest.mark.parametrize(
    ("version", "load"),
    [("2.2.1", "--load_choices"), ("2.3.2", "--load-choices"), ("2.4.0", "--load-choices")],
)
def test_the_thinking_profile_is_the_card_s_command(version: str, load: str) -> None:
    plan = shipped("ernie-4.5-21b-a3b-thinking", version)
    assert " ".join(plan.argv) == f"{HEAD} {THINKING.format(load=load)}"
    rebuilt.parse(version[:3], making.command_words(plan))


@pytest.mark.parametrize("version", ["2.3.2", "2.4.0"])
def test_whatever_is_added_to_the_card_s_command_has_its_reason(version: str) -> None:
    plan = shipped("ernie-4.5-21b-a3b-thinking", version)
    flags = {flag.flag: " ".join(flag.values) for flag in plan.flags}
    assert {flag: flags[flag] for flag in CARD_FLAGS} == CARD_FLAGS
    added = [flag for flag in plan.flags if flag.flag not in CARD_FLAGS]
    assert [flag.flag for flag in added] == ["--host", "--cache-queue-port"]
    assert all(len(flag.reason.split()) > 3 for flag in added)


@pytest.mark.parametrize("version", ["2.3.2", "2.4.0"])
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("ernie-4.5-21b-a3b", "--model baidu/ERNIE-4.5-21B-A3B-Paddle --host 127.0.0.1"),
        ("ernie-4.5-0.3b", "--model baidu/ERNIE-4.5-0.3B-Paddle --host 127.0.0.1"),
    ],
)
def test_the_other_shipped_profiles_are_fastdeploy_s_recommendations(
    name: str, flags: str, version: str
) -> None:
    plan = shipped(name, version)
    rest = (
        "--port 8180 --metrics-port 8181 --engine-worker-queue-port 8182 --cache-queue-port 8183 "
        "--max-model-len 32768 --max-num-seqs 128 --tensor-parallel-size 1 --quantization wint4"
    )
    assert " ".join(plan.argv) == f"{HEAD} {flags} {rest}"
    rebuilt.parse(version[:3], making.command_words(plan))


def test_the_neutral_parser_name_becomes_the_release_s() -> None:
    neutral = {**making.CARD, "parsers": Parsers("ernie-x1", "ernie-x1")}
    for version, called in (("2.2.1", "ernie_x1"), ("2.3.0", "ernie-x1"), ("2.4.0", "ernie-x1")):
        argv = making.plan(making.profile(**neutral), version).argv
        assert argv[argv.index("--reasoning-parser") + 1] == called
        assert argv[argv.index("--tool-call-parser") + 1] == called


def test_the_environment_is_private_and_each_variable_has_its_reason() -> None:
    plan = card(gpus=("3",))
    variables = {variable.name: variable.value for variable in plan.env}
    assert variables["FD_LOG_DIR"] == plan.log_folder
    assert variables["TMPDIR"] == plan.temporary_folder
    assert variables["PROMETHEUS_MULTIPROC_DIR"] == f"{plan.temporary_folder}/prometheus"
    assert plan.folders == (variables["PROMETHEUS_MULTIPROC_DIR"],)
    assert (variables["SPT_NOENV"], variables["PYTHONUNBUFFERED"]) == ("1", "1")
    assert variables["CUDA_VISIBLE_DEVICES"] == "3"
    assert variables["FD_ENGINE_TASK_QUEUE_WITH_SHM"] == "1"
    assert "HF_HUB_OFFLINE" not in variables
    assert "CUDA_VISIBLE_DEVICES" not in plan.pass_env
    assert not [v.name for v in plan.env if not v.reason]
    assert not any(name in plan.pass_env for name in ("HF_TOKEN", "*", "FD_API_KEY"))


def test_a_local_model_is_served_offline(tmp_path: Path) -> None:
    plan = making.plan(making.profile(model=str(tmp_path)), "2.4.0")
    variables = {variable.name: variable.value for variable in plan.env}
    assert variables["HF_HUB_OFFLINE"] == variables["TRANSFORMERS_OFFLINE"] == "1"


@pytest.mark.parametrize(("version", "queue"), [("2.2.0", None), ("2.3.0", "1"), ("2.4.0", "1")])
def test_the_task_queue_is_a_unix_socket_where_the_release_has_it(
    version: str, queue: str | None
) -> None:
    variables = {variable.name: variable.value for variable in card(version).env}
    assert variables.get("FD_ENGINE_TASK_QUEUE_WITH_SHM") == queue
    assert ("PROMETHEUS_MULTIPROC_DIR" in variables) == (version == "2.4.0")


def test_secrets_travel_as_references_and_never_in_argv() -> None:
    plan = card(
        api_key=SecretRef("env", "MY_KEY"),
        env={"HF_TOKEN": "file:/etc/token", "EXPORTER_OTLP_HEADERS": "cmd:pass show otlp"},
    )
    assert plan.secrets == {
        "FD_API_KEY": "env:MY_KEY",
        "HF_TOKEN": "file:/etc/token",
        "EXPORTER_OTLP_HEADERS": "cmd:pass show otlp",
    }
    assert "--api-key" not in plan.argv
    assert not {v.name for v in plan.env} & set(plan.secrets)
    assert plan.readiness.auth_secret == "FD_API_KEY"


def test_ports_are_named_with_the_address_they_really_bind() -> None:
    plan = card("2.4.0")
    assert [(p.name, p.number, p.address) for p in plan.ports] == [
        ("api", 8180, "127.0.0.1"),
        ("metrics", 8181, "0.0.0.0"),
        ("engine-worker-queue", 8182, "0.0.0.0"),
        ("cache-queue", 8183, "0.0.0.0"),
    ]
    assert any("0.0.0.0" in note for note in plan.notes)


SHM = "FD_ENGINE_TASK_QUEUE_WITH_SHM"
PREFILL = {"splitwise-role": "prefill", "router": "10.0.0.1:9000"}
OFF = {"enable-prefix-caching": False}


@pytest.mark.parametrize(
    ("version", "env", "arguments", "unix", "unused"),
    [
        ("2.2.1", {}, {}, False, {"cache-queue"}),
        ("2.2.1", {}, {"enable-prefix-caching": True}, False, set()),
        ("2.3.0", {}, {}, True, set()),
        ("2.4.0", {}, {}, True, set()),
        ("2.4.0", {SHM: "0"}, {}, False, set()),
        ("2.4.0", {SHM: " 1"}, {}, True, set()),
        ("2.4.0", {SHM: "7"}, {}, True, set()),
        ("2.4.0", {}, OFF, True, {"cache-queue"}),
        ("2.4.0", {}, {**OFF, **PREFILL}, True, set()),
        ("2.3.0", {}, {"speculative-config": '{"method": "mtp"}'}, True, {"cache-queue"}),
        ("2.4.0", {}, {"speculative-config": '{"method": "mtp"}'}, True, set()),
    ],
)
def test_which_numbers_are_ports(
    version: str, env: dict[str, str], arguments: dict[str, object], unix: bool, unused: set[str]
) -> None:
    plan = making.plan(making.profile(env=env, engine_args=arguments), version)
    queue = plan.port("engine-worker-queue")
    assert queue.socket == ("/dev/shm/fd_task_queue_8182.sock" if unix else None)
    assert queue.bound is not unix
    assert {use.name for use in plan.ports if not use.bound and not use.socket} == unused
    (note,) = (note for note in plan.notes if "whatever `host` is" in note)
    for use in plan.ports[1:]:
        assert (use.name in note) is use.bound


def test_the_queue_port_counts_up_by_rank_in_2_0_and_2_1() -> None:
    profile = making.profile(tensor_parallel_size=4)
    fastdeploy = get("fastdeploy")
    for version, span in (("2.0", 4), ("2.1", 4), ("2.2", 1), ("2.4", 1)):
        needs = {n.name: n for n in fastdeploy.ports(profile, fastdeploy.release(version))}
        assert needs["engine-worker-queue"].span == span
        assert needs["engine-worker-queue"].unique_low_byte
    old = making.plan(profile, "2.1.1")
    assert [p.number for p in old.ports if p.name.startswith("engine-worker")] == [
        8182, 8183, 8184, 8185]  # fmt: skip
    assert old.argv[old.argv.index("--engine-worker-queue-port") + 1] == "8182"


def test_split_roles_get_their_ports() -> None:
    profile = making.profile(
        tensor_parallel_size=2,
        engine_args={"splitwise-role": "prefill", "router": "10.0.0.1:9000"},
    )
    argv = making.plan(profile, "2.5.0").argv
    assert argv[argv.index("--pd-comm-port") + 1] == "8200"
    assert argv[argv.index("--rdma-comm-ports") + 1] == "8210,8211"
    mixed = get("fastdeploy").ports(making.profile(), None)
    assert [n.name for n in mixed] == ["api", "metrics", "engine-worker-queue", "cache-queue"]


def test_stop_is_sigint_while_loading_and_sigterm_when_ready() -> None:
    plan = card("2.3.0", stop=Stop(drain=45, grace=25))
    assert [(s.signal, s.target, s.wait) for s in plan.stop.loading] == [("SIGINT", "main", 25)]
    assert [(s.signal, s.target, s.wait) for s in plan.stop.ready] == [("SIGTERM", "main", 70)]
    argv = plan.argv
    assert argv[argv.index("--timeout-graceful-shutdown") + 1] == "45"


def test_leftovers_name_everything_the_ports_leave_behind() -> None:
    left = card("2.4.0").leftovers
    assert {"8180.socket", "router_8180.ipc", "fd_task_queue_8182.sock"} <= set(left.shm)
    assert {f"{signal}.8182" for signal in SIGNALS} <= set(left.shm)
    assert left.queues == (FtokKey("/dev/shm", 8182 % 256),)
    assert "/tmp/fd_prom_*" in left.temporary


def test_leftovers_of_speculation_and_of_split_roles() -> None:
    speculative = making.plan(
        making.profile(engine_args={"speculative-config": {"method": "mtp"}}), "2.3.0"
    )
    assert FtokKey(speculative.cwd, 8182 % 256) in speculative.leftovers.queues
    for version, first, more in (
        ("2.2.0", 1024, {}), ("2.4.0", 8182, {"router": "127.0.0.1:9000"}),
    ):  # fmt: skip
        role = {"splitwise-role": "decode", **more}
        split = making.plan(making.profile(tensor_parallel_size=2, engine_args=role), version)
        expected = {FtokKey("/opt", (first + rank) % 256) for rank in (0, 1)}
        assert expected <= set(split.leftovers.queues)


def test_readiness_asks_the_api_and_compares_what_the_profile_asked_for(tmp_path: Path) -> None:
    plan = making.plan(
        making.profile(
            model=str(tmp_path),
            served_model_name="ernie",
            max_model_len=4096,
            quantization="wint8",
            gpus=("0",),
            engine_args={"enable-prefix-caching": False},
        ),
        "2.3.2",
    )
    ready = plan.readiness
    assert (ready.port, ready.health_path, ready.model) == ("api", "/health", "ernie")
    assert ready.completion["model"] == "ernie"
    assert (ready.settings_port, ready.settings_path) == ("metrics", "/config-info")
    assert ready.settings == (
        SettingCheck("model", str(tmp_path), "model_config/model"),
        SettingCheck("max-model-len", 4096, "model_config/max_model_len"),
        SettingCheck(
            "engine-args.enable-prefix-caching", False, "cache_config/enable_prefix_caching"
        ),
        SettingCheck("quantization", "wint8", "model_config/quantization/quantization"),
        SettingCheck("gpus", "0", "parallel_config/device_ids"),
    )


@pytest.mark.parametrize(
    ("version", "models", "settings"),
    [("2.0.0", None, None), ("2.2.1", "/v1/models", None), ("2.3.0", "/v1/models", "/config-info")],
)
def test_old_releases_are_not_asked_what_they_cannot_answer(
    version: str, models: str | None, settings: str | None
) -> None:
    ready = making.plan(making.profile(max_model_len=4096), version).readiness
    assert (ready.models_path, ready.settings_path) == (models, settings)
    assert (ready.settings_unknown is None) == (settings is not None)


PHASE_LINES = [
    ("engine", "Number of api-server workers: 1.", "configure", None),
    ("engine", "Waiting for worker processes to be ready...", "launch workers", None),
    ("engine", "Waitting worker processes ready...", "launch workers", None),
    ("worker", "Loading safetensors checkpoint shards:  12%|#2   | 1/8", "load weights", 12.0),
    ("engine", "Loading Weights:  50%|#####", "load weights", 50.0),
    ("gpu-runner", "Starting to load model Ernie4_5ForCausalLM", "load weights", None),
    ("engine", "Loading Layers: 100%|##########|", "load layers", 100.0),
    ("worker-process", "------- num_blocks_global: 512 --------", "profile KV cache", None),
    ("gpu-runner", "Cuda Graph capturing took 12.5 seconds", "warm up", None),
    ("engine", "Worker processes are launched with 16.87 seconds.", "serve", None),
    ("engine", "[INFO] Listening at: http://0.0.0.0:8180 (123)", "serve", None),
]


@pytest.mark.parametrize(("source", "line", "phase", "percent"), PHASE_LINES)
def test_phases_are_known_by_lines_of_the_finest_source(
    source: str, line: str, phase: str, percent: float | None
) -> None:
    plan = card()
    names = [p.name for p in plan.phases]
    assert source in {s.name for s in plan.log_sources}
    hits = [
        (rule.phase, re.search(rule.pattern, line))
        for rule in plan.phase_rules
        if rule.source == source and re.search(rule.pattern, line)
    ]
    assert hits[0][0] == phase
    assert phase in names
    group = hits[0][1].groupdict().get("percent") if hits[0][1] else None
    assert (float(group) if group else None) == percent


def test_the_worker_s_true_exit_code_is_in_the_launch_log() -> None:
    (source, *_) = card().exit_codes
    match = re.search(source.pattern, "LAUNCH INFO 2026-01-09 10:00:00,123 Exit code -9")
    assert match is not None
    assert match["code"] == "-9"


def test_failures_are_recognised_the_moment_they_are_printed() -> None:
    line = "Failed to launch worker processes, check log/workerlog.* for more details."
    rules = [r for r in card().failure_rules if r.fatal and re.search(r.pattern, line)]
    assert rules
    assert rules[0].when in ("loading", "any")


def test_a_plan_survives_the_disk() -> None:
    plan = card()
    assert read_plan(json.loads(json.dumps(encode(plan)))) == plan


def test_a_wrong_profile_never_becomes_a_plan() -> None:
    with pytest.raises(ProfileError) as caught:
        making.plan(making.profile(engine_args={"no-such": 1, "max-concurrency": "x"}), "2.4.0")
    assert {p.code for p in caught.value.problems} == {"unknown-flag", "wrong-value"}


def test_our_own_paths_go_through_fastdeploy_s_shell_too() -> None:
    import dataclasses

    context = dataclasses.replace(
        making.context("fastdeploy", "2.4.0"), log_folder=Path("/home/my user/state/logs")
    )
    with pytest.raises(PreconditionError) as caught:
        get("fastdeploy").plan(making.profile(), context)
    (problem,) = caught.value.problems
    assert (problem.code, "' '" in problem.message) == ("unsafe-path", True)


def test_capabilities_follow_the_profile_and_the_release() -> None:
    fastdeploy = get("fastdeploy")
    plain = fastdeploy.capabilities(making.profile(), fastdeploy.release("2.0"))
    assert not plain & {"models", "settings", "tools", "reasoning", "auth", "bad-request-4xx"}
    rich = fastdeploy.capabilities(
        making.profile(**making.CARD, api_key=SecretRef("env", "K")), fastdeploy.release("2.4")
    )
    assert {"models", "settings", "tools", "tools-stream", "reasoning", "auth"} <= rich
    assert "bad-request-4xx" not in rich


def test_a_variable_of_the_profile_replaces_ours() -> None:
    plan = card(env={"FD_LOG_BACKUP_COUNT": "9", "FD_ENGINE_TASK_QUEUE_WITH_SHM": "0"})
    names = [variable.name for variable in plan.env]
    assert len(names) == len(set(names))
    variables = {variable.name: variable.value for variable in plan.env}
    assert (variables["FD_LOG_BACKUP_COUNT"], variables["FD_ENGINE_TASK_QUEUE_WITH_SHM"]) == (
        "9",
        "0",
    )
