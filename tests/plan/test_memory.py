"""The memory plan: FastDeploy's published minimum-GPU tables, row by row, and its arithmetic.

Every row is reckoned twice: with the weights of the model table, for a model that is not here, and
with those of real safetensors headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.engines.fastdeploy import memory as fastdeploy
from launcher.host import weights
from launcher.plan import memory
from launcher.plan.memory import GIB, Ask, Card, Prediction, Shape
from launcher.preparation.memory import shape_of_files
from tests.support.checkpoints import write_checkpoint

MIB = 1024**2
CARDS = json.loads((Path(memory.__file__).parent / "data" / "gpus.json").read_text())["cards"]
PUBLISHED = {
    "H800": "h800-80g", "H800 80GB": "h800-80g", "A800": "a800-80g", "A800 80GB": "a800-80g",
    "H20": "h20-96g", "H20 144GB": "h20-141g", "L20": "l20-48g", "L20 48GB": "l20-48g",
    "A30": "a30-24g", "A30 24GB": "a30-24g", "A30 (table says 40GB)": "a30-24g",
    "A10": "a10-24g", "A10 24GB": "a10-24g", "A100 80GB": "a100-80g",
}  # fmt: skip
QUANTIZATION = {"fp8": "block_wise_fp8", "bf16": None}

MORE_THAN_NEEDED = {
    # The tables name more cards than memory asks for. For VL-28B they disagree with themselves:
    # an older one has wint4 on one 24 GB card at 32K. For 424B only whole machines are listed.
    ("ERNIE-4.5-VL-28B-A3B", "a30-24g", "wint4"),
    ("ERNIE-4.5-VL-28B-A3B-Thinking", "a30-24g", "wint4"),
    ("ERNIE-4.5-VL-424B-A47B", "h20-141g", "wint4"),
    ("ERNIE-4.5-VL-424B-A47B", "h20-141g", "wint8"),
    ("ERNIE-4.5-VL-424B-A47B", "a100-80g", "wint4"),
    ("ERNIE-4.5-VL-424B-A47B", "h800-80g", "wint4"),
}
"""Rows whose number of GPUs is not the smallest that memory allows."""


def card(name: str) -> Card:
    return Card(name, CARDS[name]["total_mib"] * MIB, "table")


def rows() -> list[tuple[str, str, str, int | None]]:
    """(model, card, quantization, GPUs) of every published minimum; None: it never fits."""
    rows_ = []
    for entry in fastdeploy.load("models.json")["models"]:
        if "layers" not in entry:
            continue
        for cards, minimum in entry["min_gpus"].items():
            for name in cards.removeprefix("any of ").split("/"):
                for quantization, count in minimum.items():
                    # "1 (not A800)" is such a row for the other cards.
                    if f"not {name.strip()}" in str(count):
                        continue
                    number = int(str(count).split()[0]) if count is not None else None
                    rows_.append((entry["id"], PUBLISHED[name.strip()], quantization, number))
    return rows_


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Shape]:
    """`shapes("headers", "ERNIE-4.5-0.3B")`: the model's shape, found out in one of two ways."""
    measured: dict[str, Shape] = {}

    def find(source: str, model: str) -> Shape:
        if source == "table":
            shape = fastdeploy.shape_of_table(model)
            assert shape is not None
            return shape
        if model not in measured:
            folder = write_checkpoint(tmp_path_factory.mktemp("model"), model)
            measured[model] = shape_of_files(weights.read(folder), fastdeploy.category)
            assert measured[model].source.startswith("measured: ")
        return measured[model]

    return find


def predict(
    shape: Shape, name: str, quantization: str, gpus: int, sequences: int = 128
) -> Prediction:
    """At FastDeploy's recommended 32K context and 128 sequences (32 for vision)."""
    ask = Ask(
        tensor_parallel=gpus,
        quantization=QUANTIZATION.get(quantization, quantization),
        max_model_len=32768,
        max_num_seqs=sequences,
        max_num_batched_tokens=8192,
    )
    return memory.predict(shape, card(name), ask, fastdeploy.costs())


@pytest.mark.parametrize("source", ["table", "headers"])
@pytest.mark.parametrize(("model", "name", "quantization", "gpus"), rows())
def test_every_published_minimum_fits_and_half_of_it_does_not(
    model: str, name: str, quantization: str, gpus: int | None, source: str, shapes: Any
) -> None:
    shape, sequences = shapes(source, model), 32 if "VL" in model else 128
    if gpus is None:  # published as impossible on a whole machine of eight
        assert not predict(shape, name, quantization, 8, sequences).fits
        return
    assert predict(shape, name, quantization, gpus, sequences).fits
    if gpus > 1:
        fewer = predict(shape, name, quantization, gpus // 2, sequences)
        assert fewer.fits == ((model, name, quantization) in MORE_THAN_NEEDED), fewer.why


@pytest.mark.parametrize("model", sorted({row[0] for row in rows()}))
def test_the_table_and_the_headers_tell_the_same_weights(model: str, shapes: Any) -> None:
    table, headers = (sum(shapes(s, model).parameters.values()) for s in ("table", "headers"))
    assert headers == pytest.approx(table, rel=0.05)


def test_kv_bytes_per_token_are_those_of_the_table() -> None:
    for entry in fastdeploy.load("models.json")["models"]:
        shape = fastdeploy.shape_of_table(entry["id"])
        if "kv_bytes_per_token_bf16" in entry and shape is not None:
            ask = Ask(1, None, 2048, 8, 8192, block_size=1)
            assert memory.block_bytes(shape, ask) == entry["kv_bytes_per_token_bf16"]


def test_the_largest_lengths_and_sequences_just_fit_and_one_block_more_does_not() -> None:
    shape = fastdeploy.shape_of_table("baidu/ERNIE-4.5-21B-A3B-Thinking")
    assert shape is not None
    l20, costs = card("l20-48g"), fastdeploy.costs()
    ask = Ask(1, "wint8", 131072, 32, 8192)
    length = memory.largest_model_len(shape, l20, ask, costs)
    assert 0 < length < 131072

    def sequences(max_model_len: int) -> int:
        request = Ask(1, "wint8", max_model_len, 32, 8192)
        return memory.predict(shape, l20, request, costs).sequences

    assert sequences(length) == 32
    assert sequences(length + 64) == 31
    most = memory.largest_num_seqs(shape, l20, ask, costs)
    assert most == memory.predict(shape, l20, ask, costs).sequences


def test_too_little_is_said_with_its_reason(shapes: Any) -> None:
    a10 = predict(shapes("table", "ERNIE-4.5-21B-A3B"), "a10-24g", "bf16", 1)
    assert not a10.fits
    assert a10.why.startswith("the weights alone (40.7 GiB) exceed 20.2 GiB")
    assert a10.weights / GIB == pytest.approx(40.66, abs=0.01)


def test_an_unknown_quantization_is_not_guessed(shapes: Any) -> None:
    with pytest.raises(KeyError, match="wint3"):
        predict(shapes("table", "ERNIE-4.5-21B-A3B"), "a10-24g", "wint3", 1)
