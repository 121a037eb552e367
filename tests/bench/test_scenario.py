"""Scenarios: those that ship can be read; a wrong value is named by its key."""

from pathlib import Path

import pytest

from launcher.bench import scenario
from launcher.bench.scenario import parse_scenario, read_scenario, with_load
from launcher.errors import UsageError

GOOD = {"name": "mine", "load": {"closed": [1, 2]}}


@pytest.mark.parametrize("name", scenario.shipped())
def test_every_scenario_that_ships_can_be_read_and_has_its_file_s_name(name: str) -> None:
    read, path = read_scenario(name)
    assert read.name == name == Path(path).stem
    assert read.title
    assert read.load.levels()


def test_the_issue_s_scenarios_ship() -> None:
    assert {"chat", "long-context", "reasoning", "tools"} <= set(scenario.shipped())


def test_durations_and_shares_are_written_as_people_write_them() -> None:
    document = {
        **GOOD, "stop": {"error-rate": "5%", "ttft-p90": "1m"},
        "load": {"open": 2.5, "duration": "90s"}, "prompt": {"text": "Hello {city}"},
    }  # fmt: skip
    read = parse_scenario(document, "f")
    assert (read.stop.error_rate, read.stop.ttft_p90, read.load.duration) == (0.05, 60, 90)
    assert read.load.levels() == [("open", 2.5)]
    assert read.prompt.text == ("Hello {city}",)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"load": {}}, "needs `closed"),
        ({"load": {"closed": [0]}}, "between 0 and"),
        ({"load": {"closed": [2, 2]}}, "twice"),
        ({"load": {"closed": ["x"]}}, r"load\.closed\[0\]: expected a whole number"),
        ({"load": {"closed": [1], "duration": "3x"}}, "not a duration"),
        ({"load": {"closed": [1], "sped": 2}}, "load.sped: unknown field"),
        ({"prompt": {"tokens": 0}}, "prompt.tokens"),
        ({"prompt": {"spread": 1}}, "prompt.spread"),
        ({"prompt": {"prefixes": 100}}, "prompt.prefixes"),
        ({"stop": {"error-rate": "x%"}}, "percentage"),
        ({"request": {"stream": False}}, "request.stream"),
        ({"answer": {"max-tokens": 0}}, "answer.max-tokens"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected) as caught:
        parse_scenario({**GOOD, **changes}, "file.yaml")
    assert caught.value.problems[0].code == "bad-scenario"
    assert caught.value.problems[0].where == "file.yaml"


@pytest.mark.parametrize("text", ["[1]", "1", "", "{1: 2}", "a: [", "a: &a [*a]"])
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be used"):
        read_scenario(str(path))


def test_a_name_that_is_none_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'chat'"):
        read_scenario("chatt")


def test_a_level_has_enough_requests_for_all_that_are_sent_at_a_time() -> None:
    load = parse_scenario({**GOOD, "load": {"closed": [1, 100], "requests": 40}}, "f").load
    assert [load.requests_of("closed", one) for one in (1, 100)] == [40, 400]
    assert load.requests_of("open", 100.0) == 40


def test_the_command_line_changes_levels_and_what_it_does_not_name_stays() -> None:
    read, _ = read_scenario("chat")
    changed = with_load(read, open=(1.0, 2.0), repetitions=7, closed=(), requests=None)
    assert changed.load.levels() == [("open", 1.0), ("open", 2.0)]
    assert (changed.load.repetitions, changed.load.requests) == (7, read.load.requests)
    assert with_load(read, repetitions=2).load.closed == read.load.closed


def test_equal_scenarios_have_equal_digests() -> None:
    read, path = read_scenario("chat")
    assert read.facts(path).digest == read.facts("elsewhere").digest
    assert read.facts(path).digest != with_load(read, repetitions=9).facts(path).digest
