"""`profiles init`: the documented settings of every model, fitted to a GPU."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from launcher import engines, profile
from launcher.engines.fastdeploy.release_data import load
from launcher.engines.recommended import documentation, documented, repositories
from launcher.errors import UsageError
from launcher.json_values import list_at
from launcher.plan import memory
from launcher.preparation import fit
from launcher.preparation.cards import find_card, known_cards
from launcher.preparation.draft import yaml_value
from launcher.preparation.recommendation import Recommendation, find_machine, recommend
from launcher.profile.model import Profile
from tests.support.checkpoints import write_checkpoint
from tests.support.decoded import JsonDict

ENTRIES: Any = list_at(load("models.json"), "models")
MODELS = [entry["id"] for entry in ENTRIES]
CARDS = ("A10", "A100-80G", "H800", "H20-141G")
TOO_LARGE = {
    ("ERNIE-4.5-300B-A47B", "A10"): "2 x NVIDIA H20 96GB with wint4",
    ("ERNIE-4.5-VL-424B-A47B", "A10"): "2 x NVIDIA H20 141GB with wint4",
}
"""What does not fit on eight cards, and one of the machines that are named instead."""


def read(recommendation: Recommendation, folder: Path) -> Profile:
    path = folder / "profile.yaml"
    path.write_text(recommendation.text, encoding="utf-8")
    return profile.load(path, need_model=False, environ={})


def values(recommendation: Recommendation) -> JsonDict:
    return {setting.key: setting.value for setting in recommendation.settings}


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_on_every_card_is_valid_and_fits_or_says_what_is_needed(
    model: str, card: str, tmp_path: Path
) -> None:
    """Judged by the profile that is read back, not by what the recommendation says of itself."""
    got = recommend(model, "fastdeploy", find_machine(card, None))
    written = read(got, tmp_path)
    engine = engines.get("fastdeploy")
    assert engine.validate(written, None) == []
    facts = fit.fastdeploy_memory()
    shape = facts.shape_of_table(written.model)
    assert shape is not None
    prediction = memory.predict(
        shape, find_card(card).card, facts.ask(written, None), facts.costs()
    )
    needed = TOO_LARGE.get((model, card))
    assert prediction.fits == got.fits == (needed is None), prediction.reason
    if needed:
        assert any(note.startswith("DOES NOT FIT") and needed in note for note in got.notes)
        assert "DOES NOT FIT" in got.text
    assert (written.tensor_parallel_size or 1) <= fit.MOST_GPUS


@pytest.mark.parametrize("engine", ["fastdeploy", "vllm", "transformers"])
@pytest.mark.parametrize("model", MODELS)
def test_every_engine_gets_a_valid_profile_whose_every_line_has_a_source(
    model: str, engine: str, tmp_path: Path
) -> None:
    got = recommend(model, engine, find_machine("h20-141g", None))
    assert engines.get(engine).validate(read(got, tmp_path), None) == []
    lines = got.text.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#") or re.fullmatch(r"[a-z-]+:", line):
            continue
        assert " # " in line or lines[number - 1].lstrip().startswith("# "), line
    if engine != "fastdeploy":
        assert not got.model.endswith("-Paddle")


@pytest.mark.parametrize("model", MODELS)
def test_on_a_card_where_it_fits_nothing_differs_from_the_documentation(model: str) -> None:
    """The keys are those of the command line that Baidu documents (models.json, 2.4-2.6)."""
    entry = next(e for e in ENTRIES if e["id"] == model)
    got = values(recommend(model, "fastdeploy", find_machine("h20-141g", None)))
    words = " ".join(entry["recommended"]["2.4-2.6"])
    flags = dict(re.findall(r"--([a-z-]+) (\{[^}]*\}|[^ ,]+)", words))
    assert len(flags) >= 4
    for flag, text in flags.items():
        key = {
            "reasoning-parser": "parsers.reasoning", "tool-call-parser": "parsers.tool-call",
        }.get(flag, flag)  # fmt: skip
        value = got[key] if key in got else got[f"engine-args.{key}"]
        assert value == (json.loads(text) if text[0] in "{0123456789" else text), flag


def test_the_page_of_every_model_is_named() -> None:
    for engine in ("fastdeploy", "vllm", "transformers"):
        for entry in documentation(engine).models.values():
            assert entry["page"]
            assert entry["id"] in MODELS
            assert entry["repo"] in repositories()
    assert set(documentation("fastdeploy").models) == set(MODELS)


@pytest.mark.parametrize(
    ("model", "card", "expected"),
    [
        # On one A10 not even 4-bit weights leave room for the context: two cards, 8 bit.
        ("ERNIE-4.5-21B-A3B-Thinking", "a10", (2, "wint8", 131072)),
        # With one card only, the context becomes shorter.
        ("ERNIE-4.5-21B-A3B-Thinking", "a10:1", (1, "wint4", 65536)),
        ("ERNIE-4.5-21B-A3B-Thinking", "l20-48g:1", (1, "wint8", 131072)),
        # The documentation has eight cards; four are its minimum for 4-bit weights.
        ("ERNIE-4.5-300B-A47B", "h800:4", (4, "wint4", 32768)),
        ("ERNIE-4.5-300B-A47B", "h800", (8, "wint4", 32768)),
        # The weights of this repository are made for four cards.
        ("baidu/ERNIE-4.5-300B-A47B-W4A8C8-TP4-Paddle", "h800", (4, None, 32768)),
        ("baidu/ERNIE-4.5-300B-A47B-2Bits-Paddle", "h20-141g", (1, None, 32768)),
        ("baidu/ERNIE-4.5-300B-A47B-2Bits-Paddle", "h800", (2, None, 32768)),
    ],
)
def test_what_gives_way_first(model: str, card: str, expected: tuple[Any, ...]) -> None:
    name, _, count = card.partition(":")
    got = recommend(model, "fastdeploy", find_machine(name, int(count) if count else None))
    keys = ("tensor-parallel-size", "quantization", "max-model-len")
    assert tuple(values(got).get(key) for key in keys) == expected
    assert got.fits


def test_weights_that_need_hopper_are_not_fitted_to_another_card() -> None:
    model = "baidu/ERNIE-4.5-300B-A47B-FP8-Paddle"
    assert recommend(model, "fastdeploy", find_machine("h800", None)).fits
    old = recommend(model, "fastdeploy", find_machine("a100-80g", None))
    assert any(note.startswith("DOES NOT FIT") for note in old.notes)


def test_an_unknown_model_gets_a_profile_and_a_note() -> None:
    got = recommend("someone/ERNIE-4.5-21B-A3B-Thinkin", "fastdeploy", find_machine("a10", None))
    assert not got.documented
    assert got.fits is None
    assert values(got)["model"] == "someone/ERNIE-4.5-21B-A3B-Thinkin"
    assert got.notes[-1].startswith("GUESSED: FastDeploy's documentation has no settings for")
    assert got.notes[-1].endswith("Did you mean baidu/ERNIE-4.5-21B-A3B-Thinking?")
    guessed = {s.key for s in got.settings if s.source.startswith("guessed")}
    assert guessed == {"max-model-len", "max-num-seqs"}


def test_an_unknown_folder_is_measured(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    folder = write_checkpoint(tmp_path / "mine", "ERNIE-4.5-21B-A3B")
    got = recommend(str(folder), "fastdeploy", find_machine("a10", None))
    assert not got.documented
    assert got.fits
    # 16-bit weights of 21B need four of these cards.
    assert values(got)["tensor-parallel-size"] == 4
    broken = tmp_path / "broken"
    broken.mkdir()
    note = recommend(str(broken), "fastdeploy", find_machine("a10", None)).notes[0]
    assert note.startswith(f"{broken} cannot be measured, so nothing is fitted to a GPU: ")


def test_the_layout_follows_the_engine() -> None:
    paddle = "baidu/ERNIE-4.5-0.3B-Paddle"
    for engine in ("vllm", "transformers"):
        facts = documented(engine, paddle)
        assert facts is not None
        assert facts.repo == "baidu/ERNIE-4.5-0.3B-PT"
    kept = documented("fastdeploy", "baidu/ERNIE-4.5-0.3B-Base-PT")
    assert kept is not None
    assert kept.repo == "baidu/ERNIE-4.5-0.3B-Base-PT"
    assert documented("hosted", paddle) is None


@pytest.mark.parametrize(
    ("name", "card"),
    [("A10", "a10-24g"), ("A100-80G", "a100-80g"), ("h800", "h800-80g"), ("L40", "l40-48g"),
     ("rtx4090", "rtx4090-24g"), ("h20-141g", "h20-141g")],
)  # fmt: skip
def test_a_card_by_the_name_people_use(name: str, card: str) -> None:
    assert find_card(name).id == card


@pytest.mark.parametrize(
    ("name", "hint"),
    [("h20", "'h20-96g' or 'h20-141g'"), ("a100", "'a100-40g' or 'a100-80g'"),
     ("h80", "'h800-80g'"), ("", ""), ("h100-81g", "'h100-80g'")],
)  # fmt: skip
def test_a_card_that_is_not_in_the_table(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"no card {name!r}")) as caught:
        find_card(name)
    assert hint in str(caught.value)
    assert all(card in str(caught.value) for card in known_cards())


@pytest.mark.parametrize(
    ("value", "text"),
    [("wint4", "wint4"), ("$HOME", '"$$HOME"'), ("no", '"no"'), (">=2.3", '">=2.3"'),
     ("a: b", '"a: b"'), ("127.0.0.1", "127.0.0.1"), (True, "true"), ("12", '"12"'),
     ({"image": 100}, "{image: 100}"), (["a", 1], "[a, 1]"), ("x # y", '"x # y"')],
)  # fmt: skip
def test_values_are_written_as_yaml_reads_them(value: Any, text: str) -> None:
    assert yaml_value(value) == text
