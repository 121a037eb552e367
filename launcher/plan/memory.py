"""The memory plan: whether a model fits on a card, and what is left for the KV cache.

Pure arithmetic over values; every term is named in `Prediction.terms` with the formula that gave
it. The KV part follows FastDeploy's own calculation (worker/gpu_worker.py,
determine_available_memory, and worker/worker_process.py, initialize_kv_cache, commit 8c3513a4):

    available = total x gpu-memory-utilization - used after the profile run - its peak
    blocks    = min(available / bytes of one block, 40000), the smallest over all ranks
    needed    = max-model-len / block-size + 2        (config.py, CacheConfig.reset)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from launcher.codec import written

GIB = 1024**3


@dataclass(frozen=True)
class Shape:
    """What a model is made of.

    `parameters` counts weights by category: experts, dense, embedding, replicated (norms, gates),
    vision. `stored` gives the bytes of a category where the checkpoint is quantised already; such
    a category is not quantised again. `checkpoint` is the size on disk in bytes, `largest_file`
    that of its largest shard. `source` says how all this is known. `rotary_width` is how many
    numbers of 4 bytes a vision model keeps for each token of each sequence; 0 for text.
    """

    name: str
    parameters: Mapping[str, int]
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab: int
    context: int
    checkpoint: int
    largest_file: int
    source: str
    stored: Mapping[str, int] = field(default_factory=dict)
    rotary_width: int = 0


@dataclass(frozen=True)
class Card:
    """A GPU; `total` in bytes, `used` what others hold already."""

    name: str
    total: int
    source: str
    used: int = 0


@dataclass(frozen=True)
class Ask:
    """What the profile asks for; lengths in tokens, `kv_bytes` bytes of one K or V number.

    `limits_blocks`: the release cuts the number of blocks to `Costs.most_blocks`.
    `streamed`: weights go to the GPU tensor by tensor, else they are all in host memory first.
    `expert_parallel` ranks, all replicas together, share the experts between them; 1: the ranks of
    one replica do. `replicas` of the model run on this host (data parallel), each with
    `tensor_parallel` ranks, its own KV cache and `max_num_seqs` sequences. `most_sequences` is the
    largest max-num-seqs the engine takes.
    """

    tensor_parallel: int
    quantization: str | None
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    block_size: int = 64
    utilization: float = 0.9
    kv_bytes: int = 2
    blocks_override: int | None = None
    prefill_share: float = 1.0
    streamed: bool = True
    limits_blocks: bool = True
    expert_parallel: int = 1
    replicas: int = 1
    most_sequences: int = 4096


@dataclass(frozen=True)
class Costs:
    """What an engine adds, and how it quantises: its own data.

    `weight_bytes` maps quantization to bytes per weight by category ("*" for all others).
    `replicated` are categories that every rank holds whole. `context` and `graphs` are bytes per
    rank, `per_rank_communication` bytes per rank with more than one rank. `activation_factor` is
    how many hidden-sized rows of 2 bytes a token needs at the peak of the profile run.
    """

    weight_bytes: Mapping[str, Mapping[str, float]]
    replicated: tuple[str, ...]
    context: int
    graphs: int
    per_rank_communication: int
    activation_factor: float
    spare_blocks: int
    most_blocks: int
    host_base: int


@dataclass(frozen=True)
class Term:
    """One line of the account: bytes per rank and the formula behind them."""

    name: str
    bytes: int
    formula: str


@dataclass(frozen=True)
class Prediction:
    """The answer; bytes are per rank unless said otherwise.

    `blocks` is what remains for the KV cache, `needed` what one sequence of max-model-len takes,
    `sequences` how many of these fit at once (at most max-num-seqs are ever run).
    `host_peak` is the host memory of the whole load.
    """

    ask: Ask
    card: Card
    terms: tuple[Term, ...]
    weights: int
    available: int
    block_bytes: int
    blocks: int
    needed: int
    sequences: int
    host_peak: int
    fits: bool
    reason: str


@dataclass(frozen=True)
class MemoryLesson:
    """How far a prediction was off at one start: KV blocks, and the relative error.

    `time` is in Unix seconds; `host`, `model` and `quantization` tell what it holds for.
    """

    time: float
    host: str
    model: str
    quantization: str | None
    card: str
    predicted: int
    reported: int
    error: float


@dataclass(frozen=True)
class MemoryPlan:
    """`plan --memory`; `largest_...` only where they were asked for.

    Of a group this is that of the prefill instances, and `others` has that of the decode instances;
    `role` says which.
    """

    shape: Shape
    prediction: Prediction
    history: tuple[MemoryLesson, ...] = ()
    largest_model_len: int | None = field(default=None, metadata=written(omit=True))
    largest_num_seqs: int | None = field(default=None, metadata=written(omit=True))
    role: str | None = field(default=None, metadata=written(omit=True))
    others: tuple[MemoryPlan, ...] = field(default=(), metadata=written(omit=True))


def weights_per_rank(shape: Shape, ask: Ask, costs: Costs) -> int:
    """Bytes of weights on each rank; matrices are split over the ranks, `replicated` are not.

    Experts are split over all ranks of all replicas where they run in expert parallel.
    """
    per_weight = costs.weight_bytes.get(ask.quantization or "bf16")
    if per_weight is None:
        raise KeyError(ask.quantization)
    total = 0.0
    for category, count in shape.parameters.items():
        size = shape.stored.get(category)
        if size is None:
            size = round(count * per_weight.get(category, per_weight["*"]))
        ranks = ask.tensor_parallel
        if category == "experts" and ask.expert_parallel > 1:
            ranks = ask.expert_parallel
        total += size if category in costs.replicated else size / ranks
    return round(total)


def block_bytes(shape: Shape, ask: Ask) -> int:
    """Bytes of one KV block on each rank: 2 x layers x kv-heads per rank x head-dim x tokens."""
    heads = max(1, shape.kv_heads // ask.tensor_parallel)
    return 2 * shape.layers * heads * shape.head_dim * ask.kv_bytes * ask.block_size


def predict(shape: Shape, card: Card, ask: Ask, costs: Costs) -> Prediction:
    """Account for one rank and say whether the profile fits.

    Raises:
        KeyError: nothing is known of the quantization.
    """
    tokens = ask.max_num_batched_tokens
    rows = round(tokens * shape.hidden * costs.activation_factor * 2 / ask.tensor_parallel)
    logits = ask.max_num_seqs * shape.vocab * 4 * 2
    weights = weights_per_rank(shape, ask, costs)
    together = max(ask.tensor_parallel, ask.expert_parallel)
    communication = costs.per_rank_communication if together > 1 else 0
    usable = int(card.total * ask.utilization) - card.used
    one_block = block_bytes(shape, ask)
    rotary = ask.max_num_seqs * ask.max_model_len * shape.rotary_width * 4
    terms: tuple[Term, ...] = (
        Term("usable", usable, f"{card.total / GIB:.1f} GiB x {ask.utilization:g}"
             + (f" - {card.used / GIB:.1f} GiB used by others" if card.used else "")),
        Term("weights", weights, f"{_parameters(shape)} as {ask.quantization or 'bf16'}"
             f" / {_ranks(ask)}; {shape.source}"),
        Term("activations", rows + logits, f"{tokens} tokens x hidden {shape.hidden} x"
             f" {costs.activation_factor:g} x 2 B + {ask.max_num_seqs} x vocabulary x 8 B"),
        Term("runtime", costs.context + communication, "CUDA context, workspaces"
             + (", communication buffers" if communication else "")),
        Term("cuda graphs", costs.graphs, "captured decode batches"),
    )  # fmt: skip
    if rotary:
        formula = f"{ask.max_num_seqs} sequences x {ask.max_model_len} tokens x"
        terms += (Term("rotary tables", rotary, f"{formula} {shape.rotary_width} x 4 B"),)
    available = usable - sum(term.bytes for term in terms[1:])
    blocks = max(0, available // one_block)
    if ask.limits_blocks:
        blocks = min(blocks, costs.most_blocks)
    if ask.blocks_override is not None:
        blocks = ask.blocks_override
    blocks_for_one = int(blocks * ask.prefill_share)
    needed = ask.max_model_len // ask.block_size + costs.spare_blocks
    sequences = min(ask.max_num_seqs, blocks_for_one // needed)
    reason = "fits"
    if usable <= weights:
        reason = f"the weights alone ({weights / GIB:.1f} GiB) exceed {usable / GIB:.1f} GiB"
    elif blocks <= 0:
        reason = "nothing is left for the KV cache"
    elif blocks_for_one < needed:
        reason = f"{ask.max_model_len} tokens need {needed} blocks, {blocks_for_one} are left"
    elif ask.blocks_override is not None and blocks * one_block > max(0, available):
        reason = f"num-gpu-blocks-override {blocks} needs more than is left"
    # The ranks share the page cache; each shard is there once and once more while it is converted.
    loader_bytes = 2 * shape.largest_file if ask.streamed else shape.checkpoint
    host_peak = loader_bytes + costs.host_base * ask.tensor_parallel * ask.replicas
    return Prediction(
        ask, card, terms, weights, available, one_block, blocks, needed, sequences,
        host_peak, reason == "fits", reason,
    )  # fmt: skip


def largest_model_len(shape: Shape, card: Card, ask: Ask, costs: Costs) -> int:
    """The largest max-model-len at which all max-num-seqs sequences fit at full length; 0: none."""
    low, high = 0, -(-shape.context // ask.block_size)
    while low < high:
        middle = (low + high + 1) // 2
        longer = replace(ask, max_model_len=min(middle * ask.block_size, shape.context))
        prediction = predict(shape, card, longer, costs)
        if prediction.fits and prediction.sequences >= ask.max_num_seqs:
            low = middle
        else:
            high = middle - 1
    return min(low * ask.block_size, shape.context)


def largest_num_seqs(shape: Shape, card: Card, ask: Ask, costs: Costs) -> int:
    """The largest max-num-seqs that fit at full max-model-len; 0 where not even one does."""
    low, high = 0, ask.most_sequences
    while low < high:
        middle = (low + high + 1) // 2
        prediction = predict(shape, card, replace(ask, max_num_seqs=middle), costs)
        if prediction.fits and prediction.sequences >= middle:
            low = middle
        else:
            high = middle - 1
    return low


def _ranks(ask: Ask) -> str:
    if ask.expert_parallel > 1:
        return f"{ask.tensor_parallel} rank(s), experts / {ask.expert_parallel}"
    return f"{ask.tensor_parallel} rank(s)"


def _parameters(shape: Shape) -> str:
    total = sum(shape.parameters.values())
    return f"{total / 1e9:.2f}e9 weights" if total >= 1e8 else f"{total:,} weights"
