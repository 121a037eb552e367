"""Fits a documented profile to a GPU: more GPUs, a stronger quantization, a shorter context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from launcher import engines
from launcher.engines.base import MemoryFacts
from launcher.plan import memory
from launcher.plan.memory import Ask, Card, Prediction, Shape
from launcher.preparation.cards import known_cards
from launcher.profile.model import Profile

MOST_GPUS = 8
"""GPUs that are assumed in a machine that cannot be asked."""
SHORTEST = 8192
"""Tokens: a context is not made shorter than this."""
SAME_AS = {"fp8": "block_wise_fp8"}
"""Quantization of another engine to the one of FastDeploy that stores weights in as many bytes."""
HOPPER_ONLY = frozenset({"block_wise_fp8"})
"""Methods that need compute capability 9.0 (docs/quantization of FastDeploy)."""
HOPPER = (9, 0)


@dataclass(frozen=True)
class Choice:
    """What was chosen of the settings that decide about memory; a length of 0 is not given."""

    tensor_parallel: int
    quantization: str | None
    max_model_len: int


@dataclass(frozen=True)
class Need:
    """What fits instead: `gpus` cards of this kind."""

    gpus: int
    card: Card
    choice: Choice


@dataclass(frozen=True)
class Fitter:
    """One model in one profile.

    `profile` has the documented settings. `quantizations` are the methods that may be used, the
    documented one first. `stored_as` replaces them in the account where the weights are quantised
    already. `parallel_sizes` are the numbers of GPUs that are allowed, the documented one first.
    """

    profile: Profile
    shape: Shape
    quantizations: Sequence[str | None]
    parallel_sizes: Sequence[int]
    stored_as: str | None = None

    def predict(self, choice: Choice, card: Card) -> Prediction:
        """The memory plan of the profile with `choice` on `card`."""
        chosen = {
            "tensor-parallel-size": choice.tensor_parallel,
            "quantization": choice.quantization,
            "max-model-len": choice.max_model_len or None,
        }
        settings = {**self.profile.settings, **chosen}
        present = {key: value for key, value in settings.items() if value is not None}
        profile = replace(self.profile, settings=present)
        ask = memory_ask(profile, self.shape)
        if self.stored_as:
            ask = replace(ask, quantization=self.stored_as)
        shape = self.shape
        if engines.get(profile.engine).memory is None:
            # The rotary tables of every sequence are FastDeploy's own.
            shape = replace(shape, rotary_width=0)
        return memory.predict(shape, card, ask, fastdeploy_memory().costs())

    def first(
        self,
        card: Card,
        count: int,
        capability: tuple[int, int] | None,
        *,
        fewest: bool = False,
    ) -> Choice | None:
        """The choice nearest to the documented one that fits on `count` cards.

        `fewest`: the one with the fewest cards instead.
        """
        for choice in self._choices(count, fewest=fewest):
            method = self.stored_as or choice.quantization
            if method in HOPPER_ONLY and capability is not None and capability < HOPPER:
                continue
            if self.predict(choice, card).fits:
                return choice
        return None

    def needs(self, limit: int = 4) -> list[Need]:
        """The smallest machines of the table on which the documented context fits."""
        needs = []
        for entry in known_cards().values():
            choice = self.first(entry.card, MOST_GPUS, entry.capability, fewest=True)
            if choice and choice.max_model_len == (self.profile.max_model_len or 0):
                needs.append(Need(choice.tensor_parallel, entry.card, choice))
        return sorted(needs, key=lambda need: need.gpus * need.card.total)[:limit]

    def _choices(self, count: int, *, fewest: bool) -> Iterator[Choice]:
        length = self.profile.max_model_len or 0
        lengths = [length]
        while length // 2 >= SHORTEST:
            length //= 2
            lengths.append(length)
        documented = self.parallel_sizes[0]
        sizes = [size for size in self.parallel_sizes if size <= count]
        # More GPUs than documented before fewer: the documented number is known to work.
        sizes.sort(key=lambda size: (size < documented, abs(size - documented)))
        if fewest:
            sizes.sort()
        for tokens in lengths:
            for size in sizes:
                for method in self.quantizations:
                    yield Choice(size, method, tokens)


def fastdeploy_memory() -> MemoryFacts:
    """FastDeploy's figures; the only engine of which there are any."""
    facts = engines.get(engines.DEFAULT).memory
    if facts is None:
        raise AssertionError("FastDeploy has a memory plan")
    return facts


def memory_ask(profile: Profile, shape: Shape) -> Ask:
    """What the profile asks for; for an engine without a memory plan, FastDeploy's terms."""
    facts = engines.get(profile.engine).memory
    if facts is not None:
        return facts.ask(profile, None)
    share = profile.engine_args.get("gpu-memory-utilization")
    return Ask(
        tensor_parallel=profile.tensor_parallel_size or 1,
        quantization=SAME_AS.get(profile.quantization or "", profile.quantization),
        max_model_len=profile.max_model_len or shape.context,
        max_num_seqs=profile.max_num_seqs or 32,
        max_num_batched_tokens=8192,
        utilization=share if isinstance(share, float) else 0.9,
    )


def parallel_sizes(shape: Shape | None, documented: int) -> tuple[int, ...]:
    """Numbers of GPUs that share the attention heads evenly, the documented one first.

    More GPUs than KV heads are left out: each head would be stored more than once.
    """
    if shape is None:
        return (documented,)
    sizes = [
        size
        for size in (1, 2, 4, 8)
        if shape.heads % size == 0 and shape.kv_heads % size == 0 and size != documented
    ]
    return (documented, *sizes)
