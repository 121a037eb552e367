"""What every verb returns is one dataclass: its JSON is read back as what it was."""

import ast
import dataclasses
import json
from typing import Any

import pytest

from launcher.cli.main import VERBS
from launcher.codec import decode, encode
from launcher.report.emit import RENDERERS
from launcher.result import SCHEMA, Result
from tests.report.plain_results import RESULTS
from tests.report.verb_results import TEXTS
from tests.support.imports import modules
from tests.support.payloads import PAYLOADS, kind_of

EVERY: dict[str, Result[Any]] = {**TEXTS, **{f"plain-{name}": one for name, one in RESULTS.items()}}
OF_FIRST_SCHEMA = {
    "was", "is", "what", "answer", "why", "means", "when", "judged", "got", "draws", "needs",
    "same", "shown", "others", "newest", "ernie-deploy",
}  # fmt: skip
WITH_PAYLOAD = [name for name, one in EVERY.items() if one.data is not None]


def test_every_verb_has_a_payload() -> None:
    assert set(PAYLOADS) == set(RENDERERS)
    assert {command.split()[0] for command in PAYLOADS} == set(VERBS)


def test_no_verb_returns_json_that_it_made_by_hand() -> None:
    by_hand = {
        f"{module}: {ast.unparse(node)}"
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value) == "Result"
        and {"JsonObject", "JsonValue", "Mapping", "dict"} & set(names_in(node.slice))
    }
    assert by_hand == set()


def names_in(node: ast.expr) -> list[str]:
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]


def test_every_payload_is_made_by_some_result() -> None:
    made = {type(one.data) for one in EVERY.values()}
    assert made >= {kind for kinds in PAYLOADS.values() for kind in kinds}


@pytest.mark.parametrize("name", WITH_PAYLOAD)
def test_a_payload_is_read_back_from_its_json(name: str) -> None:
    result = EVERY[name]
    data = json.loads(json.dumps(result.envelope()))["data"]
    kind = kind_of(result.command, data)
    payload: object = decode(kind, data, result.command)
    assert payload == result.data
    assert encode(payload) == data


def keys_of(value: object) -> set[str]:
    """Every key of a JSON value, at any depth."""
    if isinstance(value, dict):
        return {*value, *(key for one in value.values() for key in keys_of(one))}
    return {key for one in value for key in keys_of(one)} if isinstance(value, list) else set()


@pytest.mark.parametrize("name", WITH_PAYLOAD)
def test_no_key_is_one_of_the_first_schema(name: str) -> None:
    """`ernie-deploy/2` renamed them, see CHANGELOG.md."""
    data = json.loads(json.dumps(EVERY[name].envelope()))["data"]
    assert not keys_of(data) & OF_FIRST_SCHEMA


@pytest.mark.parametrize("name", WITH_PAYLOAD)
def test_a_payload_is_frozen(name: str) -> None:
    payload = EVERY[name].data
    assert payload is not None
    field = dataclasses.fields(payload)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(payload, field, None)


def test_a_verb_that_did_not_get_so_far_has_an_empty_object() -> None:
    result: Result[Any] = Result("up")
    assert result.envelope()["data"] == {}
    assert result.envelope()["schema"] == SCHEMA
    with pytest.raises(ValueError, match="up has no payload"):
        assert result.payload
