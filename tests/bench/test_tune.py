"""Tuning: every setting is measured once, only a proved one is written, and a search goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.bench import tune as tuning
from launcher.bench.result import Trial
from launcher.bench.run import Subject
from launcher.bench.scenario import Scenario, read_scenario, with_load
from launcher.bench.search import Choice, Space, next_settings
from launcher.bench.tune import Order, Starter, tune
from launcher.errors import ExitCode, PreconditionError
from launcher.json_values import JsonValue
from launcher.profile.model import Profile
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.target import Target
from tests.support import stub_generator
from tests.support.known_server import serving

KEY = "max-num-seqs"
USUAL = {"ttft": 4.0, "gap": 0.05, "spread": 0.01, "pause": 5.0}
FAST = {**USUAL, "ttft": 2.0, "pause": 2.5}


class Rig:
    """A starter whose server is always the same; the scripted generator makes the difference."""

    def __init__(self, url: str, *, unfit: object = None, broken: object = None) -> None:
        self.url, self.unfit, self.broken = url, unfit, broken
        self.log: list[str] = []

    def starter(self) -> Starter:
        return Starter(self._load, self._up, self._down, self._fits)

    def _load(self, settings: Mapping[str, JsonValue]) -> Profile:
        return Profile("tiny", "vllm", "m", settings=settings, resolved={"name": "tiny"})

    def _up(self, profile: Profile) -> Subject:
        value = profile.settings.get(KEY)
        if value == self.broken and value is not None:
            raise PreconditionError.of("does-not-start", "it does not start")
        self.log.append(f"up {value}")
        return Subject(Target("tiny", "instance", Endpoint(self.url, "known"), "known"))

    def _down(self, profile: Profile) -> None:
        self.log.append(f"down {profile.settings.get(KEY)}")

    def _fits(self, profile: Profile) -> str | None:
        return "it does not fit" if profile.settings.get(KEY, "") == self.unfit else None


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "record.jsonl") as address:
        yield address


def scenario() -> Scenario:
    return with_load(read_scenario("chat")[0], closed=(2,), repetitions=1, requests=8)


def order(tmp_path: Path, *values: JsonValue, **changes: Any) -> Order:
    usual = Order("tokens_rate", {KEY: values}, 9, scenario(), "chat", tmp_path / "o.yaml")
    return Order(**{**usual.__dict__, **changes})


def quiet(text: str) -> None:
    """Progress that is not read."""


def test_a_better_setting_is_proved_and_written(home: Path, tmp_path: Path, url: str) -> None:
    # The profile, 8, 16; then A B, B A, A B, B A, A B.
    proof = [USUAL, FAST, FAST, USUAL, USUAL, FAST, FAST, USUAL, USUAL, FAST]
    stub_generator.install(home, USUAL, FAST, USUAL, *proof)
    rig = Rig(url)
    result = tune(rig.starter(), order(tmp_path, 8, 16), quiet)
    assert result.exit_code == ExitCode.DONE, result.errors
    assert result.payload.best == {KEY: 8}
    assert yaml.safe_load((tmp_path / "o.yaml").read_text()) == {KEY: 8}
    assert "tokens_rate B is +9" in (tmp_path / "o.yaml").read_text()
    assert result.payload.proof is not None
    assert len(rig.log) == 2 * (3 + 10)
    assert rig.log[0::2] == [line.replace("down", "up") for line in rig.log[1::2]]


def test_what_is_no_better_is_not_written(home: Path, tmp_path: Path, url: str) -> None:
    stub_generator.install(home, USUAL, FAST, USUAL)  # fast once, by chance
    result = tune(Rig(url).starter(), order(tmp_path, 8), quiet)
    assert result.exit_code == ExitCode.NEGATIVE
    assert [error.code for error in result.errors] == ["tune-nothing-better"]
    assert not (tmp_path / "o.yaml").exists()


def test_settings_that_do_not_fit_or_start_are_trials_with_a_problem(
    home: Path, tmp_path: Path, url: str
) -> None:
    stub_generator.install(home, USUAL)
    rig = Rig(url, unfit=64, broken=8)
    result = tune(rig.starter(), order(tmp_path, 8, 64), quiet)
    problems = [trial.problem for trial in result.payload.trials]
    assert problems == [None, "it does not start", "it does not fit"]
    assert "up 64" not in rig.log
    assert "down 8" in rig.log


def test_a_profile_that_cannot_be_measured_ends_the_search(
    home: Path, tmp_path: Path, url: str
) -> None:
    stub_generator.install(home, {"exit": 1})
    with pytest.raises(PreconditionError) as caught:
        tune(Rig(url).starter(), order(tmp_path, 8), quiet)
    assert caught.value.problems[0].code == "tune-no-start"


def test_an_interrupted_search_goes_on_where_it_was(
    home: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_generator.install(home, USUAL)
    rig = Rig(url)
    real = tuning._try
    calls = []

    def interrupted(*args: Any) -> Any:
        calls.append(args[2].settings)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(tuning, "_try", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(rig.starter(), order(tmp_path, 8, 16, 32), quiet)
    result = tune(rig.starter(), order(tmp_path, 8, 16, 32, resume=True), quiet)
    assert calls == [{}, {KEY: 8}, {KEY: 16}, {KEY: 16}, {KEY: 32}]
    assert [trial.number for trial in result.payload.trials] == [0, 1, 2, 3]


def test_a_search_of_something_else_is_not_gone_on_with(
    home: Path, tmp_path: Path, url: str
) -> None:
    stub_generator.install(home, USUAL)
    tune(Rig(url).starter(), order(tmp_path, 8), quiet)
    with pytest.raises(PreconditionError, match="of another profile"):
        tune(Rig(url).starter(), order(tmp_path, 8, 16, resume=True), quiet)
    (home / "bench" / "tune-tiny" / "tuning.json").write_text("{")
    with pytest.raises(PreconditionError, match="cannot be resumed"):
        tune(Rig(url).starter(), order(tmp_path, 8, resume=True), quiet)


def test_settings_are_written_at_their_place_in_the_profile() -> None:
    own = Profile("tiny", "vllm", "m")
    text = tuning.overlay_text({"engine-args.a-b": True, "engine-args.c": 2, KEY: 4}, own, "proof")
    assert yaml.safe_load(text) == {"engine-args": {"a-b": True, "c": 2}, KEY: 4}
    assert text.startswith("# Measured by `ernie-deploy bench tune` for tiny")
    assert "# proof\n" in text


def trial(number: int, **settings: JsonValue) -> Trial:
    return Trial(number, settings, 1.0, None, None, 1.0)


def searched(space: Space, most: int, python: str) -> list[Choice]:
    """What is tried of `space` until there is nothing more to try."""
    done, choices = [trial(0)], []
    while (choice := next_settings(space, done, most, python, 1)) is not None:
        choices.append(choice)
        done.append(trial(len(done), **choice.settings))
    return choices


def test_a_small_space_is_tried_in_turn_and_then_done() -> None:
    choices = searched({"a": (1, 2), "b": (True, False)}, 9, "/nonexistent")
    assert len({json.dumps(one.settings) for one in choices}) == 4
    assert json.dumps(choices[0].settings) == '{"a": 1, "b": true}'
    assert not any(one.note for one in choices), "there is nothing to search"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit('no such library')", "no such library"),
        ("print('{')", "Expecting property name"),
        ("print('{\"b\": 1}')", "'a'"),
        ("print('{\"a\": 99}')", "out of range"),
        ('print(\'{"a": "x"}\')', "indices must be integers"),
    ],
)
def test_a_search_without_answers_is_drawn_at_random_without_repeats_and_says_so(
    tmp_path: Path, program: str, reason: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{program}\n")
    python.chmod(0o755)
    choices = searched({"a": tuple(range(50))}, 10, str(python))
    assert len({one.settings["a"] for one in choices}) == len(choices) == 10
    assert all(one.note and reason in one.note for one in choices), choices[0].note


def test_trials_that_were_drawn_at_random_are_told_with_the_search(
    home: Path, tmp_path: Path, url: str
) -> None:
    values = tuple(range(1, 9))
    stub_generator.install(home, USUAL)
    result = tune(Rig(url).starter(), order(tmp_path, *values, trials=3), quiet)
    notes = [one.note for one in result.payload.trials]
    assert notes[0] is None
    assert all(note and "drawn at random" in note for note in notes[1:]), notes
    assert result.payload.search.endswith("; 3 drawn at random, without its answer")
