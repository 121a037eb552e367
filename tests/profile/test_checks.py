"""Keys that do not exist, are missing, or do not go together: every one at its place."""

from pathlib import Path

import pytest

from launcher import profile
from launcher.errors import ExitCode, PreconditionError, ProfileError
from tests.profile.conftest import Load, Refused, Write


def test_everything_wrong_is_said_at_once_in_file_order(refused: Refused) -> None:
    text = """\
name: Ernie 21B
engine: fastdeply
max_model_len: 8192
ports: {api: 8180, metrics: 8180}
parsers: {reasonning: ernie-x1}
env: [A=1]
health:
  start-timeout: 5
"""
    assert refused(text) == [
        ("missing-key", "p.yaml:1:1", "model: is required",
         "add `model: OWNER/NAME` or a folder such as `model: ./weights`"),
        ("bad-name", "p.yaml:1:7", "name: 'Ernie 21B' is not a name: lower-case letters, digits, "
         "dots and dashes, not beginning with a dot or a dash, at most 48", "such as ernie-21b"),
        ("unknown-engine", "p.yaml:2:9", "engine: 'fastdeply' is not an engine",
         "did you mean 'fastdeploy'? one of: fastdeploy, vllm, transformers, hosted"),
        ("unknown-key", "p.yaml:3:1", "max_model_len: unknown key",
         "did you mean `max-model-len`?"),
        ("duplicate-port", "p.yaml:4:29", "ports.metrics: 8180 is ports.api already",
         "give one of them another number, or `auto`"),
        ("unknown-key", "p.yaml:5:11", "parsers.reasonning: unknown key",
         "did you mean `reasoning`?"),
        ("wrong-type", "p.yaml:6:6", "env: a mapping is expected, this is a list",
         "write env: {NAME: value}"),
        ("unknown-key", "p.yaml:8:3", "health.start-timeout: unknown key",
         "did you mean `startup-timeout`?"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("max-num-seq", "did you mean `max-num-seqs`?"),
        ("MAX-MODEL-LEN", "did you mean `max-model-len`?"),
        ("--quantization", "did you mean `quantization`?"),
        ("port", "did you mean `ports.api`?"),
        ("metrics-port", "did you mean `ports.metrics`?"),
        ("reasoning-parser", "did you mean `parsers.reasoning`?"),
        ("startup-timeout", "did you mean `health.startup-timeout`?"),
        ("gpu-memory-utilization", "a flag of the engine goes under `engine-args`"),
        ("data-parallel-size", "a flag of the engine goes under `engine-args`"),
        ("tenser-parallel-size", "did you mean `tensor-parallel-size`?"),
    ],
)
def test_did_you_mean(refused: Refused, key: str, remedy: str) -> None:
    (problem,) = refused(f"name: a\nengine: vllm\nmodel: a/b\n{key}: 1\n")
    assert problem == ("unknown-key", "p.yaml:4:1", f"{key}: unknown key", remedy)


def test_the_least_there_must_be(refused: Refused) -> None:
    assert [p[:3] for p in refused("description: x\n")] == [
        ("missing-key", "p.yaml:1:1", "name: is required"),
        ("missing-key", "p.yaml:1:1", "engine: is required"),
        ("missing-key", "p.yaml:1:1", "model: is required"),
    ]


def test_a_name_from_the_option_is_enough(load: Load) -> None:
    assert load("engine: vllm\nmodel: a/b\n", name="given").name == "given"
    with pytest.raises(ProfileError) as caught:
        load("engine: vllm\nmodel: a/b\n", name="Not Good")
    assert caught.value.problems[0].where == "--name"


@pytest.mark.parametrize("spelling", ["max-model-len", "max_model_len", "--max-model-len"])
def test_given_at_the_top_and_in_engine_args(refused: Refused, spelling: str) -> None:
    (problem,) = refused(
        f"name: a\nengine: vllm\nmodel: a/b\nmax-model-len: 8\nengine-args: {{{spelling}: 9}}\n"
    )
    assert problem[:2] == ("duplicate-setting", "p.yaml:5:15")
    assert problem[2].endswith("p.yaml:4:1")


def test_a_missing_model_is_a_failed_precondition(write: Write, tmp_path: object) -> None:
    path = write("name: a\nengine: vllm\nmodel: ./gone\n")
    with pytest.raises(PreconditionError) as caught:
        profile.load(path)
    assert caught.value.exit_code == ExitCode.PRECONDITION
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("missing-model", f"{path}:3:8")
    assert problem.message == f"model: there is no {tmp_path}/gone"
    assert profile.load(path, need_model=False).model == f"{tmp_path}/gone"


def test_a_missing_model_beside_other_problems_is_a_wrong_profile(write: Write) -> None:
    path = write("name: a\nengine: vllm\nmodel: ./gone\nmax-num-seqs: x\n")
    with pytest.raises(ProfileError) as caught:
        profile.load(path)
    assert [p.code for p in caught.value.problems] == ["missing-model", "wrong-type"]


def test_timeouts_that_would_never_pass(wrong: Refused) -> None:
    text = "health:\n  startup-timeout: 60\n  no-progress-timeout: 2m\n"
    assert wrong(text) == [("impossible-combination", "p.yaml:6:3")]


def test_a_key_without_effect_is_noted(load: Load) -> None:
    text = "name: a\nengine: vllm\nmodel: a/b\nrestart: {max-restarts: 9, policy: never}\n"
    (note,) = load(text).notes
    assert note.code == "no-effect"
    assert note.where is not None
    assert note.where.endswith(":4:11")
    assert load(text.replace("never", "on-failure")).notes == ()
    assert load(text.replace("never", "always")).notes == ()


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("policy: never, window: 5m, first-delay: 2, max-delay: 9, on-stall: restart",
         ["window", "first-delay", "max-delay", "on-stall"]),
        ("max-restarts: 0, window: 5m", ["window"]),
        ("policy: never, on-stall: report", []),
    ],
)  # fmt: skip
def test_keys_of_a_restart_that_never_happens(load: Load, section: str, keys: list[str]) -> None:
    notes = load(f"name: a\nengine: vllm\nmodel: a/b\nrestart: {{{section}}}\n").notes
    assert [note.message.split(":")[0] for note in notes] == [f"restart.{key}" for key in keys]


def test_a_first_delay_above_the_longest(refused: Refused) -> None:
    text = "name: a\nengine: vllm\nmodel: a/b\nrestart: {first-delay: 90, max-delay: 1m}\n"
    ((code, _, message, _),) = refused(text)
    assert code == "impossible-combination"
    assert message == "restart.first-delay: 90 s is longer than restart.max-delay, 60 s"


@pytest.mark.parametrize("size", ["0", "64", "1MiB"])
def test_a_limit_of_memory_in_which_nothing_starts(refused: Refused, size: str) -> None:
    ((code, _, message, _),) = refused(f"name: a\nengine: vllm\nmodel: a/b\nmemory-max: {size}\n")
    assert code == "impossible-combination"
    assert message.startswith("memory-max: ")


def test_a_limit_of_memory(load: Load) -> None:
    assert load("name: a\nengine: vllm\nmodel: a/b\nmemory-max: 64GiB\n").memory_max == 64 << 30


def test_the_former_name_of_a_key_leads_to_todays(refused: Refused, tmp_path: Path) -> None:
    """An instance that an earlier release started can be started again: its profile is resolved."""
    text = "name: a\nengine: vllm\nmodel: a/b\nrestart: {policy: never, delay: 5}\n"
    ((code, _, message, remedy),) = refused(text)
    assert (code, message) == ("unknown-key", "restart.delay: unknown key")
    assert remedy == "did you mean `first-delay`?"
    kept = tmp_path / "profile.json"
    kept.write_text(text)
    restart = profile.load(str(kept), resolved=True).restart
    assert (restart.policy, restart.first_delay) == ("never", 5)


HOSTED = "name: a\nengine: hosted\nmodel: baidu/ernie\nbase-url: https://api.example.com/v1/\n"


def test_a_hosted_endpoint(load: Load) -> None:
    got = load(
        HOSTED + "api-key: env:KEY\nmax-model-len: 131072\nheaders: {X-Title: 1}\n"
        "body: {model_id: m, key: 'env:K', n: 2}\npromises: [chat]\n"
    )
    assert got.model == "baidu/ernie"
    assert got.hosted == {
        "base-url": "https://api.example.com/v1",
        "dialect": "openai",
        "headers": {"X-Title": "1"},
        "body": {"model_id": "m", "key": "env:K", "n": 2},
        "promises": ["chat"],
    }
    assert "health" not in got.resolved
    assert "host" not in got.resolved


def test_a_hosted_endpoint_is_not_ours_to_steer(wrong: Refused, refused: Refused) -> None:
    assert [p[:3] for p in refused(HOSTED + "gpus: 0\nstop: {grace: 3}\n")] == [
        ("impossible-combination", f"p.yaml:{line}:1",
         f"{key}: a hosted endpoint is run by a third party, who decides this")
        for line, key in ((5, "gpus"), (6, "stop"))
    ]  # fmt: skip
    assert wrong("dialect: openai\n") == [("impossible-combination", "p.yaml:4:1")]
    assert [p[0] for p in refused("name: a\nengine: hosted\nmodel: a/b\n")] == ["missing-key"]
    invalid = HOSTED.replace("https://", "ftp://").replace("hosted\n", "hosted\ndialect: gemini\n")
    assert [p[0] for p in refused(invalid)] == ["unknown-value", "bad-url"]


def test_defaults_make_equal_profiles_equal(load: Load) -> None:
    plain = load("name: a\nengine: vllm\nmodel: a/b\n")
    spelled = load(
        "name: a\nengine: vllm\nmodel: a/b\nhost: 127.0.0.1\nports: {api: auto}\n"
        "health: {startup-timeout: 1h}\nlogs: {max-size: 64MiB}\nrestart: {policy: on-failure}\n"
    )
    assert plain.resolved == spelled.resolved
    assert plain.health == spelled.health
    assert plain.where("host") == "default"
    assert spelled.where("host") != "default"
