"""Training of the tiny ERNIE: dialogues to tensors, and the loop."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from tests.checkpoint.dialogues import Sample, Skill
from tests.checkpoint.mixture import stream
from tests.checkpoint.tokenizer import EOS

Encoded = tuple[list[int], list[bool]]
"""Tokens of prompt and completion, and for each whether it is a target."""


def encode(tokenizer: Any, sample: Sample) -> Encoded:
    """The sample as a server would send it to the model, and its completion."""
    prompt = sample.prompt
    if prompt is None:
        prompt = tokenizer.apply_chat_template(
            sample.messages,
            tools=sample.tools,
            enable_thinking=sample.thinking,
            add_generation_prompt=True,
            tokenize=False,
        )
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    target = [False] * len(ids)
    for text, trained in sample.spans:
        part = tokenizer.encode(text, add_special_tokens=False)
        ids += part
        target += [trained] * len(part)
    return [*ids, EOS], [*target, True]


@dataclass(frozen=True)
class Phase:
    """A part of a run, with its mixture and its peak rates.

    ``drill`` is the part of the phase that begins with repetitions of random text: that is how
    copying is learned. ``stretch`` is the largest random gap between messages, in positions.
    """

    steps: int
    rate: float
    rate_rest: float
    seed: int
    mixture: list[tuple[Skill, float]]
    drill: float = 0.0
    batch: int = 16
    stretch: int = 1024


def batches(tokenizer: object, phase: Phase) -> Iterator[list[list[Encoded]]]:
    """Steps of `batch` mixed dialogues, in groups of like length, so that little is padding."""
    drilled = phase.drill * phase.steps + 1
    source = stream(
        phase.seed,
        drill=lambda n: 0.5 * max(0.0, 1 - n / phase.batch / drilled),
        mixture=phase.mixture,
    )
    while True:
        items = sorted(
            (encode(tokenizer, s) for s in itertools.islice(source, phase.batch)),
            key=lambda e: len(e[0]),
        )
        long, half = int(len(items) * 0.9), len(items) // 2
        yield [group for group in (items[:half], items[half:long], items[long:]) if group]


def positions(ids: list[int], start: int, stretch: int, rng: Any) -> list[int]:
    """Positions with random gaps before messages: a short dialogue also trains long distances."""
    at, result = 0, []
    for token in ids:
        if token == start and rng.random() < 0.5:
            at += int(stretch ** rng.random())
        result.append(at)
        at += 1
    return result


def tensors(group: list[Encoded], start: int, stretch: int, rng: object) -> tuple[Any, Any, Any]:
    """Token ids, positions, and which tokens from the second on are targets; padded right."""
    length = max(len(ids) for ids, _ in group)
    ids = torch.zeros(len(group), length, dtype=torch.long)
    where = torch.zeros(len(group), length, dtype=torch.long)
    targets_mask = torch.zeros(len(group), length, dtype=torch.bool)
    for row, (tokens, target) in enumerate(group):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        targets_mask[row, : len(tokens)] = torch.tensor(target)
        where[row, : len(tokens)] = torch.tensor(positions(tokens, start, stretch, rng))
    return ids, where, targets_mask[:, 1:]


def train(model: Any, tokenizer: Any, phase: Phase) -> None:
    """Muon for the matrices (a third of the steps that AdamW needs), AdamW for the rest."""
    matrices = [
        p
        for n, p in model.named_parameters()
        if p.ndim == 2 and "embed" not in n and "lm_head" not in n
    ]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimisers = [
        torch.optim.Muon(
            matrices,
            lr=phase.rate,
            momentum=0.95,
            weight_decay=0.01,
            ns_steps=5,
            adjust_lr_fn="original",
        ),
        torch.optim.AdamW(rest, lr=phase.rate_rest, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    rates = [phase.rate, phase.rate_rest]
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    rng = random.Random(phase.seed)
    began, token_count, losses = time.monotonic(), 0, []
    source = batches(tokenizer, phase)
    for step in range(phase.steps):
        done = step / phase.steps
        decay = min(1.0, (1 - done) / 0.5 + 0.01)
        # The embeddings warm up slowly: the copying circuit reads them and has to follow.
        warm = [min(1.0, (step + 1) / 30), min(1.0, (step + 100) / 400)]
        for o, rate, w in zip(optimisers, rates, warm, strict=True):
            for group in o.param_groups:
                group["lr"] = rate * w * decay
        groups = next(source)
        targets = sum(sum(target[1:]) for group in groups for _, target in group)
        total = 0.0
        for group in groups:
            ids, where, targets_mask = tensors(group, start, phase.stretch, rng)
            # Causal attention needs no mask for padding on the right. Without any mask, though,
            # transformers takes a gap in the positions for the border of packed documents.
            hidden = model.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                position_ids=where,
                use_cache=False,
            )
            logits = model.lm_head(hidden.last_hidden_state[:, :-1][targets_mask])
            loss = (
                functional.cross_entropy(logits, ids[:, 1:][targets_mask], reduction="sum")
                / targets
            )
            loss.backward()
            total += loss.item()
            token_count += ids.numel()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for o in optimisers:
            o.step()
            o.zero_grad()
        losses.append(total)
        if step % 100 == 99 or step == phase.steps - 1:
            took = time.monotonic() - began
            print(
                f"step {step + 1} loss {sum(losses) / len(losses):.4f} "
                f"{took:.0f} s {token_count / took:.0f} tokens/s",
                flush=True,
            )
            losses = []
