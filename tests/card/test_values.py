"""The profile of a card: every value with its origin, and nothing that could be a secret."""

from __future__ import annotations

from launcher.card.values import UNKNOWN, card_profile, flatten, without_secrets
from launcher.errors import Problem
from launcher.instance.instance_status import InstanceStatus, Record
from launcher.json_values import JsonValue
from launcher.keeper.state import EndError
from launcher.plan.model import Flag, LaunchPlan
from launcher.profile.model import Origin
from launcher.redact import MASK, Redactor

PLAN = LaunchPlan(
    "one", "scripted", "1", ("/bin/python",), "/", "/logs", "/tmp/x",
    flags=(Flag("--max-model-len", ("9",), origin="p.yaml:4:1", key="max-model-len"),),
)  # fmt: skip


def origins_of(resolved: dict[str, object], **origins: Origin) -> dict[str, str]:
    card = card_profile(resolved, origins, PLAN, path=None)  # type: ignore[arg-type]
    return {one.key: one.origin for one in card.values}


def test_values_are_told_by_the_path_of_their_key() -> None:
    values: dict[str, JsonValue] = {
        "name": "one", "ports": {"api": 80}, "gpus": ["0", "1"], "env": {},
    }  # fmt: skip
    assert list(flatten(values)) == [
        ("name", "one"), ("ports.api", 80), ("gpus", ["0", "1"]), ("env", {}),
    ]  # fmt: skip


def test_an_origin_is_that_of_the_key_or_of_the_section_around_it() -> None:
    origins = origins_of(
        {"model": "m", "smoke": {"tags": ["quick"]}, "host": "h"},
        model=Origin("p.yaml", 2, 1), smoke=Origin("o.yaml", 5, 1, "overlay"),
        host=Origin("default"),
    )  # fmt: skip
    assert origins == {
        "model": "p.yaml:2:1",
        "smoke.tags": "o.yaml:5:1 (overlay)",
        "host": "default",
    }


def test_without_a_record_the_plan_tells_what_it_knows() -> None:
    origins = origins_of({"max-model-len": 9, "host": "h"})
    assert origins == {"max-model-len": "p.yaml:4:1", "host": UNKNOWN}


def test_the_same_values_have_the_same_hash_in_any_order() -> None:
    hashes = {
        card_profile(values, {}, None, path=None).sha256
        for values in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    }
    assert len(hashes) == 1
    assert card_profile({"a": 2}, {}, None, path=None).sha256 not in hashes


def test_a_secret_is_hidden_and_a_reference_to_one_is_shown() -> None:
    env: dict[str, JsonValue] = {"HF_TOKEN": "abc123", "MODE": "fast"}
    values: dict[str, JsonValue] = {"api-key": "env:KEY", "env": env}
    card = card_profile(values, {}, None, path=None)
    assert {one.key: one.value for one in card.values} == {
        "api-key": "env:KEY", "env.HF_TOKEN": MASK, "env.MODE": "fast",
    }  # fmt: skip


def test_secrets_are_taken_out_of_whatever_depth() -> None:
    error = EndError("died", "the key was s3cret-value", "/logs/s3cret-value")
    status = InstanceStatus("one", record=Record(error=error, forced=("s3cret-value",)))
    clean = without_secrets(
        (status, {"a": [Problem("x", "s3cret-value")]}), Redactor(["s3cret-value"])
    )
    assert "s3cret-value" not in repr(clean)
    assert clean[0].record is not None
    assert clean[0].record.error == EndError("died", f"the key was {MASK}", f"/logs/{MASK}")
    assert clean[0].state is status.state
