"""The memory plan: FastDeploy's published minimum-GPU tables, row by row, and its arithmetic.

Every row is reckoned twice: with the weights of the model table, for a model that is not here, and
with those of real safetensors headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launcher import engines
from launcher.engines.fastdeploy import memory as fastdeploy
from launcher.engines.fastdeploy.release_data import load
from launcher.host import weights
from launcher.json_values import list_at, object_at
from launcher.plan import memory
from launcher.plan.memory import GIB, Ask, Card, Costs, MemoryPlan, Prediction, Shape
from launcher.preparation.memory import shape_of_files
from tests.engines import making
from tests.support.as_json import as_json
from tests.support.checkpoints import write_checkpoint
from tests.support.decoded import JsonDict

MIB = 1024**2
CARDS = json.loads((Path(memory.__file__).parent / "data" / "gpus.json").read_text())["cards"]
PUBLISHED = {
    "H800": "h800-80g", "H800 80GB": "h800-80g", "A800": "a800-80g", "A800 80GB": "a800-80g",
    "H20": "h20-96g", "H20 144GB": "h20-141g", "L20": "l20-48g", "L20 48GB": "l20-48g",
    "A30": "a30-24g", "A30 24GB": "a30-24g", "A30 (table says 40GB)": "a30-24g",
    "A10": "a10-24g", "A10 24GB": "a10-24g", "A100 80GB": "a100-80g",
    # The smallest card of the table; the page's first example runs on it.
    "any with 8 GB": "rtx3060-12g",
}  # fmt: skip
QUANTIZATION = {"fp8": "block_wise_fp8", "bf16": None}

MORE_THAN_NEEDED = {
    # The tables name more cards than memory asks for. VL-28B-Thinking has the row of VL-28B, whose
    # 256 sequences have rotary tables of 4 GiB; Thinking is documented with 32. For 424B only whole
    # machines are listed.
    ("ERNIE-4.5-VL-28B-A3B-Thinking", "a30-24g", "wint4"),
    ("ERNIE-4.5-VL-424B-A47B", "h20-141g", "wint4"),
    ("ERNIE-4.5-VL-424B-A47B", "h20-141g", "wint8"),
    ("ERNIE-4.5-VL-424B-A47B", "a100-80g", "wint4"),
    ("ERNIE-4.5-VL-424B-A47B", "h800-80g", "wint4"),
}
"""Rows whose number of GPUs is not the smallest that memory allows."""

ONE_SEQUENCE = {("ERNIE-4.5-VL-28B-A3B", "a30-24g", "wint4")}
"""Half of the documented cards hold one sequence or none; an older table names one card."""

DOCUMENTED = {
    "ERNIE-4.5-VL-28B-A3B": (256, 384), "ERNIE-4.5-VL-28B-A3B-Thinking": (32, 16384),
    "ERNIE-4.5-VL-424B-A47B": (16, 384), "PaddleOCR-VL-0.9B": (128, 16384),
}  # fmt: skip
"""Sequences and batched tokens of the documented command, where they are not 128 and 8192."""

SMALL = Shape(
    name="small", parameters={"dense": 1_000_000, "norms": 1_000}, layers=2, heads=8, kv_heads=4,
    head_dim=16, hidden=128, vocab=1_000, context=4_096, checkpoint=2_002_000,
    largest_file=2_000_000, source="made up",
)  # fmt: skip
COSTS = Costs(
    weight_bytes={"bf16": {"*": 2.0}, "wint8": {"dense": 1.0, "*": 2.0}}, replicated=("norms",),
    context=3_000_000, graphs=2_000_000, per_rank_communication=500_000, activation_factor=4.0,
    spare_blocks=2, most_blocks=40_000, host_base=1_000_000,
)  # fmt: skip


def card(name: str) -> Card:
    return Card(name, CARDS[name]["total_mib"] * MIB, "table")


def rows() -> list[tuple[str, str, str, int | None]]:
    """(model, card, quantization, GPUs) of every published minimum; None: it never fits."""
    all_rows = []
    models: list[JsonDict] = [dict(object_at(m)) for m in list_at(load("models.json"), "models")]
    for entry in models:
        if "layers" not in entry:
            continue
        for cards, minimum in entry["min_gpus"].items():
            for name in cards.removeprefix("any of ").split("/"):
                for quantization, count in minimum.items():
                    # "1 (not A800)" is such a row for the other cards.
                    if f"not {name.strip()}" in str(count):
                        continue
                    number = int(str(count).split()[0]) if count is not None else None
                    all_rows.append((entry["id"], PUBLISHED[name.strip()], quantization, number))
    return all_rows


Shapes = Callable[[str, str], Shape]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
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
    shape: Shape,
    name: str,
    quantization: str,
    gpus: int,
    documented: tuple[int, int] = (128, 8192),
) -> Prediction:
    """At FastDeploy's recommended 32K context; `documented` are sequences and batched tokens."""
    ask = Ask(
        tensor_parallel=gpus,
        quantization=QUANTIZATION.get(quantization, quantization),
        max_model_len=32768,
        max_num_seqs=documented[0],
        max_num_batched_tokens=documented[1],
    )
    return memory.predict(shape, card(name), ask, fastdeploy.costs())


@pytest.mark.parametrize("source", ["table", "headers"])
@pytest.mark.parametrize(("model", "name", "quantization", "gpus"), rows())
def test_every_published_minimum_fits_and_half_of_it_does_not(
    model: str, name: str, quantization: str, gpus: int | None, source: str, shapes: Shapes
) -> None:
    shape, documented = shapes(source, model), DOCUMENTED.get(model, (128, 8192))
    if gpus is None:  # published as impossible on a whole machine of eight
        assert not predict(shape, name, quantization, 8, documented).fits
        return
    assert predict(shape, name, quantization, gpus, documented).fits
    if gpus > 1:
        fewer = predict(shape, name, quantization, gpus // 2, documented)
        if (model, name, quantization) in ONE_SEQUENCE:
            assert fewer.sequences <= 1
            return
        assert fewer.fits == ((model, name, quantization) in MORE_THAN_NEEDED), fewer.reason


@pytest.mark.parametrize("model", sorted({row[0] for row in rows()}))
def test_the_table_and_the_headers_tell_the_same_weights(model: str, shapes: Shapes) -> None:
    table, headers = (sum(shapes(s, model).parameters.values()) for s in ("table", "headers"))
    assert headers == pytest.approx(table, rel=0.05)


def test_kv_bytes_per_token_are_those_of_the_table() -> None:
    models: list[JsonDict] = [dict(object_at(m)) for m in list_at(load("models.json"), "models")]
    for entry in models:
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


def test_too_little_is_said_with_its_reason(shapes: Shapes) -> None:
    a10 = predict(shapes("table", "ERNIE-4.5-21B-A3B"), "a10-24g", "bf16", 1)
    assert not a10.fits
    assert a10.reason.startswith("the weights alone (40.7 GiB) exceed 20.2 GiB")
    assert a10.weights / GIB == pytest.approx(40.66, abs=0.01)


def test_an_unknown_quantization_is_not_guessed(shapes: Shapes) -> None:
    with pytest.raises(KeyError, match="wint3"):
        predict(shapes("table", "ERNIE-4.5-21B-A3B"), "a10-24g", "wint3", 1)


@pytest.mark.parametrize(("ranks", "heads"), [(1, 4), (2, 2), (3, 1), (4, 1), (8, 1), (16, 1)])
def test_a_rank_holds_at_least_one_kv_head(ranks: int, heads: int) -> None:
    """With more ranks than heads each rank has a copy of one; nothing is never stored."""
    shape = replace(SMALL, layers=3, kv_heads=4, head_dim=5)
    ask = Ask(ranks, None, 2048, 8, 8192, block_size=7, kv_bytes=2)
    assert memory.block_bytes(shape, ask) == 2 * 3 * heads * 5 * 2 * 7


def test_a_model_with_fewer_heads_than_ranks_can_be_planned() -> None:
    prediction = memory.predict(
        replace(SMALL, kv_heads=2), Card("a card", 80 * GIB, "a test"), Ask(8, None, 2048, 8, 64),
        COSTS,
    )  # fmt: skip
    assert prediction.fits
    assert prediction.block_bytes > 0


def test_the_account_of_one_rank_term_by_term() -> None:
    """Every number reckoned by hand: 10 tokens, 2 ranks, 3 sequences."""
    ask = Ask(2, None, 1_000, 3, 10, block_size=64, utilization=0.5)
    prediction = memory.predict(SMALL, Card("c", GIB, "a test", used=GIB // 4), ask, COSTS)
    usable, weights = GIB // 2 - GIB // 4, 2 * 1_000_000 // 2 + 2 * 1_000
    rows, logits = 10 * 128 * 4 * 2 // 2, 3 * 1_000 * 4 * 2
    assert [(term.name, term.bytes, term.formula) for term in prediction.terms] == [
        ("usable", usable, "1.0 GiB x 0.5 - 0.2 GiB used by others"),
        ("weights", weights, "1,001,000 weights as bf16 / 2 rank(s); made up"),
        ("activations", rows + logits, "10 tokens x hidden 128 x 4 x 2 B + 3 x vocabulary x 8 B"),
        ("runtime", 3_500_000, "CUDA context, workspaces, communication buffers"),
        ("cuda graphs", 2_000_000, "captured decode batches"),
    ]
    available = usable - weights - rows - logits - 5_500_000
    assert (prediction.available, prediction.weights) == (available, weights)
    assert prediction.block_bytes == 2 * 2 * 2 * 16 * 2 * 64
    assert prediction.blocks == available // prediction.block_bytes
    assert (prediction.needed, prediction.sequences) == (1_000 // 64 + 2, 3)
    assert prediction.host_peak == 2 * 2_000_000 + 2 * 1_000_000
    assert (prediction.fits, prediction.reason) == (True, "fits")
    unstreamed = memory.predict(SMALL, prediction.card, replace(ask, streamed=False), COSTS)
    assert unstreamed.host_peak == SMALL.checkpoint + 2 * 1_000_000


def test_replicas_have_their_own_weights_and_share_only_experts_where_they_are_told_to() -> None:
    shape = replace(SMALL, parameters={"experts": 8_000, "dense": 1_000})
    card = Card("c", GIB, "a test")
    alone = memory.predict(shape, card, Ask(2, None, 1_000, 3, 10), COSTS)
    replicas = memory.predict(shape, card, Ask(2, None, 1_000, 3, 10, replicas=4), COSTS)
    assert replicas.weights == alone.weights == 2 * 9_000 // 2
    assert replicas.blocks == alone.blocks, "each replica has a KV cache of its own"
    assert replicas.host_peak - alone.host_peak == 3 * 2 * COSTS.host_base, "6 processes more"

    spread = Ask(2, None, 1_000, 3, 10, replicas=4, expert_parallel=8)
    experts = memory.predict(shape, card, spread, COSTS)
    assert experts.weights == 2 * 8_000 // 8 + 2 * 1_000 // 2
    assert "/ 2 rank(s), experts / 8;" in experts.terms[1].formula
    pair = replace(spread, tensor_parallel=1, replicas=2, expert_parallel=2)
    two = memory.predict(shape, card, pair, COSTS)
    assert two.weights == 2 * 8_000 // 2 + 2 * 1_000
    assert "/ 1 rank(s), experts / 2;" in two.terms[1].formula
    single = memory.predict(shape, card, replace(spread, tensor_parallel=1), COSTS)
    runtime = next(term for term in single.terms if term.name == "runtime")
    assert runtime.bytes == COSTS.context + COSTS.per_rank_communication


def test_a_vision_model_has_a_rotary_table_for_each_sequence() -> None:
    """A published run of VL-28B on two 141 GB cards reported 65400 blocks; 2.0 has no limit."""
    shape = fastdeploy.shape_of_table("baidu/ERNIE-4.5-VL-28B-A3B-Paddle")
    assert shape is not None
    ask = Ask(2, "wint4", 32768, 256, 384, limits_blocks=False)
    prediction = memory.predict(shape, card("h20-141g"), ask, fastdeploy.costs())
    (term,) = [term for term in prediction.terms if term.name == "rotary tables"]
    assert term.bytes == 256 * 2 * 32768 * (128 // 2) * 4 == 4 * GIB
    assert prediction.blocks == pytest.approx(65400, rel=0.02)
    limited = memory.predict(
        shape, card("h20-141g"), replace(ask, limits_blocks=True), fastdeploy.costs()
    )
    assert limited.blocks == 40_000
    text = fastdeploy.shape_of_table("baidu/ERNIE-4.5-21B-A3B-Paddle")
    ocr = fastdeploy.shape_of_table("PaddlePaddle/PaddleOCR-VL")
    assert text is not None
    assert ocr is not None
    assert (text.rotary_width, shape.rotary_width, ocr.rotary_width) == (0, 128, 256)


def test_the_limit_of_blocks_came_with_2_1() -> None:
    engine = engines.get("fastdeploy")
    profile = making.profile(model="baidu/ERNIE-4.5-0.3B-Paddle")
    limits = [fastdeploy.ask(profile, engine.release(line)).limits_blocks for line in engine.lines]
    assert limits == [False, *[True] * (len(limits) - 1)]


def test_one_rank_alone_has_no_communication() -> None:
    ask = Ask(1, "wint8", 1_000, 3, 10)
    prediction = memory.predict(replace(SMALL, stored={"norms": 5}), CARD, ask, COSTS)
    runtime = next(term for term in prediction.terms if term.name == "runtime")
    assert (runtime.bytes, runtime.formula) == (3_000_000, "CUDA context, workspaces")
    weights = next(term for term in prediction.terms if term.name == "weights")
    assert (weights.bytes, weights.formula) == (
        1_000_005, "1,001,000 weights as wint8 / 1 rank(s); made up"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "text"), [(99_999_999, "99,999,999 weights"), (100_000_000, "0.10e9 weights")]
)
def test_large_counts_are_given_in_billions(count: int, text: str) -> None:
    large = replace(SMALL, parameters={"dense": count})
    terms = memory.predict(large, CARD, Ask(1, None, 64, 1, 1), COSTS).terms
    assert terms[1].formula == f"{text} as bf16 / 1 rank(s); made up"


CARD = Card("c", GIB, "a test")


@pytest.mark.parametrize(
    ("total", "changes", "why"),
    [
        (8_000_000, {}, "fits"),
        (2_002_000, {}, "the weights alone (0.0 GiB) exceed 0.0 GiB"),
        (2_002_001, {}, "nothing is left for the KV cache"),
        (7_043_791, {}, "nothing is left for the KV cache"),
        (7_043_792, {}, "128 tokens need 4 blocks, 1 are left"),
        (8_000_000, {"blocks_override": 16}, "128 tokens need 4 blocks, 3 are left"),
        (8_000_000, {"blocks_override": 30}, "fits"),
        (8_000_000, {"blocks_override": 31}, "num-gpu-blocks-override 31 needs more than is left"),
        (7_050_000, {"blocks_override": 16}, "128 tokens need 4 blocks, 3 are left"),
    ],
)
def test_each_reason_begins_where_the_one_before_ends(
    total: int, changes: JsonDict, why: str
) -> None:
    share = 0.2 if changes.get("blocks_override") == 16 else 1.0
    ask = Ask(1, None, 128, 1, 1, utilization=1.0, prefill_share=share, **changes)
    prediction = memory.predict(SMALL, Card("c", total, "a test"), ask, COSTS)
    assert (prediction.reason, prediction.fits) == (why, why == "fits")


def test_blocks_that_fit_exactly_are_not_too_many() -> None:
    ask = Ask(1, None, 128, 1, 1, utilization=1.0)
    free = memory.predict(SMALL, CARD, ask, COSTS)
    exact = replace(CARD, total=GIB - free.available + 10 * free.block_bytes)
    assert memory.predict(SMALL, exact, replace(ask, blocks_override=10), COSTS).fits
    assert not memory.predict(SMALL, exact, replace(ask, blocks_override=11), COSTS).fits
    assert memory.predict(SMALL, CARD, ask, COSTS).blocks == min(
        free.available // free.block_bytes, COSTS.most_blocks
    )
    assert memory.predict(SMALL, replace(CARD, total=64 * GIB), ask, COSTS).blocks == 40_000


def test_the_largest_values_of_a_small_model() -> None:
    ask = Ask(1, None, 128, 4, 1, utilization=1.0)
    blocks = memory.predict(SMALL, CARD, replace(ask, max_model_len=64), COSTS).blocks
    assert memory.largest_model_len(SMALL, CARD, ask, COSTS) == 4_096, "never past its context"
    assert memory.largest_model_len(replace(SMALL, context=4_100), CARD, ask, COSTS) == 4_100
    long = replace(SMALL, context=10**9)
    assert memory.largest_model_len(long, CARD, ask, COSTS) == (blocks // 4 - 2) * 64
    few = replace(ask, most_sequences=64)
    assert memory.largest_num_seqs(SMALL, CARD, few, COSTS) == 64, "never past the engine's"
    assert memory.largest_num_seqs(SMALL, replace(CARD, total=1), ask, COSTS) == 0
    assert memory.largest_model_len(SMALL, replace(CARD, total=1), ask, COSTS) == 0


def test_the_largest_values_are_written_where_they_were_requested() -> None:
    prediction = memory.predict(SMALL, CARD, Ask(1, None, 128, 4, 1), COSTS)
    plan = MemoryPlan(SMALL, prediction)
    assert set(as_json(plan)) == {"shape", "prediction", "history"}
    both = as_json(replace(plan, largest_model_len=0, largest_num_seqs=7))
    assert (both["largest_model_len"], both["largest_num_seqs"]) == (0, 7)
