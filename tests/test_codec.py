"""The codec: what is written is read back, and a wrong value is told by its path."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from launcher.codec import DecodeError, decode, encode, written
from launcher.json_values import JsonObject, JsonValue
from tests.support.as_json import as_json


class Colour(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Port:
    name: str
    number: int
    bound: bool = True


@dataclass(frozen=True)
class Health:
    healthy: bool | None = None
    answer: str = ""


@dataclass(frozen=True)
class Text:
    kind: Literal["text"]
    words: str


@dataclass(frozen=True)
class Number:
    kind: Literal["number", "count"]
    words: int


@dataclass(frozen=True)
class Plan:
    instance: str
    ours: str = field(metadata=written("ernie-deploy"))
    ports: tuple[Port, ...] = ()
    pair: tuple[int, str] = (0, "")
    colour: Colour = Colour.RED
    folder: Path = Path("/")
    delay: float | None = None
    count: int = 0
    named_ports: Mapping[str, Port] = field(default_factory=dict)
    lines: list[int | Port] = field(default_factory=list)
    page: Text | Number | None = None
    body: JsonObject = field(default_factory=dict)
    expected: JsonValue = None
    note: str | None = field(default=None, metadata=written(omit=True))
    health: Health | None = field(default=None, metadata=written(inline=True))
    engine: Port | None = field(default=None, metadata=written(empty=True))


FULL = Plan(
    "one",
    "1.0",
    (Port("api", 1), Port("metrics", 2, False)),
    (3, "three"),
    Colour.BLUE,
    Path("/tmp/x"),
    2,
    4,
    {"a.b": Port("c", 5)},
    [6, Port("d", 7)],
    Number("count", 8),
    {"deep": [{"x": None}, 1.5, True]},
    ["any"],
    "noted",
    Health(False, "timed out"),
    Port("e", 9),
)


def stored(plan: Plan = FULL, **changes: JsonValue) -> dict[str, JsonValue]:
    return {**as_json(plan), **changes}


@pytest.mark.parametrize("plan", [FULL, Plan("two", "1.0")])
def test_what_was_written_is_read_back(plan: Plan) -> None:
    assert decode(Plan, stored(plan)) == plan


def test_fields_are_written_as_they_say() -> None:
    full, least = stored(), stored(Plan("two", "1.0"))
    assert full["ernie-deploy"] == "1.0"
    assert full["colour"] == "blue"
    assert (full["healthy"], full["answer"]) == (False, "timed out")
    assert "health" not in full
    assert "note" not in least
    assert "healthy" not in least
    assert least["engine"] == {}
    assert least["delay"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instance": 1}, "plan.instance: expected a text, got 1"),
        ({"count": "x"}, "plan.count: expected a whole number, got 'x'"),
        ({"count": True}, "plan.count: expected a whole number, got True"),
        ({"count": 1.5}, "plan.count: expected a whole number, got 1.5"),
        ({"delay": "soon"}, "plan.delay: expected a number, got 'soon'"),
        ({"colour": "green"}, "plan.colour: expected one of 'red', 'blue', got 'green'"),
        ({"ports": {}}, "plan.ports: expected a list, got {}"),
        ({"ports": "api"}, "plan.ports: expected a list, got 'api'"),
        (
            {"ports": [{"name": "a", "number": 1}, {"name": "b", "number": "x"}]},
            "plan.ports[1].number: expected a whole number, got 'x'",
        ),
        ({"ports": [{"name": "a"}]}, "plan.ports[0].number: is missing"),
        ({"ports": [{"name": "a", "number": 1, "new": 2}]}, "plan.ports[0].new: unknown field"),
        ({"pair": [1]}, "plan.pair: expected a list of 2, got [1]"),
        ({"named_ports": {"x": 1}}, "plan.named_ports.x: expected an object, got 1"),
        ({"lines": [1, {"name": "a"}]}, "plan.lines[1].number: is missing"),
        (
            {"page": {"kind": "number", "words": "eight"}},
            "plan.page.words: expected a whole number, got 'eight'",
        ),
        ({"page": {"kind": "?"}}, "plan.page.kind: expected 'text', got '?'"),
        ({"healthy": "yes"}, "plan.healthy: expected true or false, got 'yes'"),
        ({"body": []}, "plan.body: expected an object, got []"),
        ({"folder": 1}, "plan.folder: expected a text, got 1"),
        ({"new": 1}, "plan.new: unknown field"),
        ({"health": {}}, "plan.health: unknown field"),
    ],
)
def test_a_wrong_value_is_told_by_its_path(changes: dict[str, JsonValue], message: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode(Plan, {**stored(), **changes}, "plan")
    assert str(error.value) == message


def test_a_missing_field_is_told() -> None:
    data = stored()
    del data["ernie-deploy"]
    with pytest.raises(DecodeError, match=r"^ernie-deploy: is missing$"):
        decode(Plan, data)


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_a_document_that_is_no_object_is_refused(value: JsonValue) -> None:
    with pytest.raises(DecodeError, match=r"^plan: expected an object"):
        decode(Plan, value, "plan")


def test_a_tolerant_reader_ignores_what_a_newer_writer_added() -> None:
    port: JsonValue = {"name": "a", "number": 1, "new": {"x": 1}}
    plan = decode(Plan, stored(newer=[1], ports=[port]), tolerant=True)
    assert plan.ports == (Port("a", 1),)


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(DecodeError) as error:
        decode(Plan, stored(count="x" * 10_000))
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            "ernie-deploy/plan/2",
            "expected 'ernie-deploy/plan/1', got 'ernie-deploy/plan/2';"
            " another release of ernie-deploy wrote it",
        ),
        ("other/1", "expected 'ernie-deploy/plan/1', got 'other/1'"),
        (1, "expected 'ernie-deploy/plan/1', got 1"),
        (None, "expected 'ernie-deploy/plan/1', got None"),
    ],
)
def test_another_version_is_refused(schema: JsonValue, message: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode(Plan, stored(schema=schema), "plan", schema="ernie-deploy/plan/1", tolerant=True)
    assert str(error.value) == f"plan.schema: {message}"


def test_the_version_is_looked_at_before_anything_else() -> None:
    with pytest.raises(DecodeError, match="schema: expected 'a/1', got 'a/2'"):
        decode(Plan, {"schema": "a/2", "instance": 1}, schema="a/1")


def test_what_is_not_json_is_not_written() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        encode({"x": {1, 2}})
