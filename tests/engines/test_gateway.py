"""The gateway as an internal engine: what it plans, refuses and keeps from the network."""

import json
from pathlib import Path

import pytest

from launcher import engines
from launcher.door.gateway import GatewaySettings, config_name, gateway_profile, render
from launcher.engines.base import PlanContext, Release
from launcher.engines.gateway import ENGINE
from launcher.engines.gateway.checks import KEY_ENV, UNGUARDED_ENV
from launcher.errors import PreconditionError, ProfileError
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from tests.support.decoded import JsonDict

SETTINGS = GatewaySettings("chat", "http://127.0.0.1:8082/v1", "ernie", 1800.0)
KEYED = GatewaySettings(
    "chat", "http://127.0.0.1:8082/v1", "ernie", 1800.0, "env:CHAT_KEY", "ab" * 32
)


def plan_of(profile: Profile) -> LaunchPlan:
    context = PlanContext(
        "/venv/bin/python", Release("1.108.7", "1.108"), {"api": 8003}, Path("/logs"),
        Path("/tmp/ed-12345678"),
    )  # fmt: skip
    return ENGINE.plan(profile, context)


def keyed() -> Profile:
    return gateway_profile(KEYED, "chat-gateway", Path("/srv/gateway.json"))


def test_profiles_are_not_offered_it() -> None:
    assert "gateway" not in engines.names()
    assert engines.get("gateway") is ENGINE


def test_the_plan() -> None:
    plan = plan_of(keyed())
    assert plan.argv[1:3] == ("-m", "litellm.proxy.proxy_cli")
    assert "/srv/gateway.json" in plan.argv
    assert "127.0.0.1" in plan.argv
    assert plan.restart.policy == "always"
    assert not plan.readiness.completion
    assert plan.secrets == {KEY_ENV: "env:CHAT_KEY"}


def test_nothing_leaves_the_machine() -> None:
    env = {variable.name: variable.value for variable in plan_of(keyed()).env}
    for name in (
        "LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "DO_NOT_TRACK",
        "HF_HUB_OFFLINE", "NO_PROXY",
    ):  # fmt: skip
        assert env[name]
    assert env["LITELLM_TELEMETRY"] == "False"
    assert json.loads(render(SETTINGS))["litellm_settings"]["telemetry"] is False


def test_the_key_is_a_reference_and_never_a_value() -> None:
    assert f"os.environ/{KEY_ENV}" in render(KEYED)
    assert "CHAT_KEY" not in render(KEYED)
    assert UNGUARDED_ENV in {variable.name for variable in plan_of(keyed()).env}


def test_another_key_or_model_is_another_file() -> None:
    names = {
        config_name(SETTINGS),
        config_name(KEYED),
        config_name(GatewaySettings("chat", SETTINGS.upstream, "other", 1800.0)),
        config_name(
            GatewaySettings("chat", SETTINGS.upstream, "ernie", 1800.0, "env:CHAT_KEY", "cd" * 32)
        ),
    }
    assert len(names) == 4


def test_names_of_anthropics_models_mean_the_served_one() -> None:
    models = json.loads(render(SETTINGS))["model_list"]
    assert {one["model_name"]: one["litellm_params"]["model"] for one in models} == {
        "claude-*": "hosted_vllm/ernie", "*": "hosted_vllm/*",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"engine_args": {}}, "missing-key"),
        ({"engine_args": {"config": "here.json"}}, "missing-key"),
        ({"engine_args": {"config": "/g.json", "workers": 4}}, "unknown-flag"),
        ({"engine_args": {"config": "/g.json"}, "host": "0.0.0.0"}, "wrong-value"),
        ({"engine_args": {"config": "/g.json"}, "env": {"TMPDIR": "/x"}}, "reserved-variable"),
    ],
)
def test_wrong_profiles(values: JsonDict, code: str) -> None:
    profile = Profile("chat-gateway", "gateway", "chat", **{"host": "127.0.0.1", **values})
    with pytest.raises(ProfileError) as caught:
        plan_of(profile)
    assert code in {problem.code for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("distributions", "code"),
    [
        ({"litellm": "1.108.7"}, "incomplete-engine"),
        ({"litellm": "1.20.0", "fastapi": "1", "uvicorn": "1"}, "unknown-release"),
        ({"litellm": "new", "fastapi": "1", "uvicorn": "1"}, "unknown-release"),
    ],
)
def test_environments_that_do_not_fit(distributions: dict[str, str], code: str) -> None:
    problem = ENGINE.installed("/venv/bin/python", "3.11", distributions).problem
    assert problem is not None
    assert problem.code == code
    assert ENGINE.installed("/venv/bin/python", "3.11", {}).release is None


def test_a_release_is_read() -> None:
    assert ENGINE.release("1.108.7") == Release("1.108.7", "1.108")
    with pytest.raises(PreconditionError):
        ENGINE.release("0.1")
