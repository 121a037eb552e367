"""The profile of values that were kept with an instance, also by another version of ours."""

import pytest

from launcher.json_values import JsonObject
from launcher.profile.build import build
from launcher.profile.model import Health, Logs, Profile, SecretRef


def test_what_was_kept_is_what_was_read() -> None:
    kept: JsonObject = {
        "name": "a",
        "engine": "vllm",
        "model": "a/b",
        "ports": {"api": 8180, "metrics": "auto"},
        "gpus": ["0", "1"],
        "max-num-seqs": 8,
        "parsers": {"reasoning": "ernie-x1"},
        "api-key": "env:KEY",
        "health": {"startup-timeout": 60, "allow-differences": ["max-num-seqs"]},
        "logs": {"keep": 2},
    }
    built = build(kept, "kept.json")
    assert (built.name, built.engine, built.model, built.path) == ("a", "vllm", "a/b", "kept.json")
    assert (built.ports, built.gpus) == ({"api": 8180, "metrics": "auto"}, ("0", "1"))
    assert built.max_num_seqs == 8
    assert built.setting("parsers.reasoning") == "ernie-x1"
    assert built.api_key == SecretRef("env", "KEY")
    assert built.health == Health(startup_timeout=60, allow_differences=("max-num-seqs",))
    assert built.logs == Logs(keep=2)
    assert built.resolved == kept


@pytest.mark.parametrize(
    "kept",
    [
        {"health": 5},
        {"health": {"startup-timeout": "x", "probe-timeout": True, "allow-differences": "a"}},
        {"logs": {"keep": None, "key-of-another-version": 1}},
        {"parsers": ["x"]},
        {"parsers": {"reasoning": None}},
        {"gpus": "0"},
        {"engine-args": [1]},
        {"name": 5, "host": None},
        {"key-of-another-version": 1},
    ],
)
def test_what_another_version_wrote_differently_is_left_out(kept: JsonObject) -> None:
    plain = Profile("", "", "", resolved=kept)
    assert build(kept) == plain
