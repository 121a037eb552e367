"""What a million tokens costs on a rented GPU, beside the hosted list price.

    cost per million output tokens = price of a GPU hour x GPUs / (tokens per second x 3600) x 10^6

Tokens per second are those measured in this run, over as many streams as were open at once; the
GPU's price buys prompt and completion together, so the figure is an upper bound for output alone.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from launcher.errors import UsageError
from launcher.json_values import JsonValue, at, is_list, list_at
from launcher.smoke.answers.answer import Answer
from launcher.smoke.clients.base import TransportError
from launcher.smoke.comparison.payloads import ListPrice, WorkedCost
from launcher.smoke.comparison.toolset import session_of
from launcher.smoke.section.limits import rate
from launcher.smoke.target import Target

DATA = Path(__file__).parents[1] / "data" / "prices.yaml"
FORMULA = "cost per million = gpu-hour x GPUs / (tokens per second x 3600) x 1,000,000"
MOST = 16


@dataclass(frozen=True)
class PriceEntry:
    """An entry of a price list: the models that `model` is found in, and what they cost."""

    model: re.Pattern[str]
    price: ListPrice


def prices(path: Path | None = None) -> list[PriceEntry]:
    """The price list.

    Raises:
        UsageError: it cannot be read, or an entry lacks its model or a price.
    """
    where = path or DATA
    try:
        document: JsonValue = yaml.safe_load(where.read_text(encoding="utf-8"))
        if not is_list(at(document, "prices")):
            raise ValueError("`prices` must be a list")
        return [_price(entry) for entry in list_at(document, "prices")]
    except (OSError, ValueError, re.error, yaml.YAMLError) as error:
        raise UsageError.of(
            "bad-prices", f"no price list: {type(error).__name__}: {error}", str(where)
        ) from error


def _price(entry: JsonValue) -> PriceEntry:
    model, provider = at(entry, "model"), at(entry, "provider")
    if not isinstance(model, str):
        raise ValueError(f"an entry needs a model: {entry!r}")
    costs = [rate(at(entry, name)) for name in ("input", "output")]
    price = ListPrice(None if provider is None else str(provider), *costs)
    return PriceEntry(re.compile(model), price)


def list_price(model: str, entries: Sequence[PriceEntry]) -> ListPrice | None:
    """The price of the first entry for this model."""
    return next((one.price for one in entries if one.model.search(model)), None)


def throughput(target: Target) -> dict[str, float] | None:
    """Completion tokens per second over as many streams as there are seats (16 at most).

    None where no answer came or none carried usage.
    """
    streams = min(target.max_num_seqs or 4, MOST)
    session = session_of(target, "throughput")
    answers: list[Answer] = []

    def one() -> None:
        try:
            answers.append(session.stream("Tell me a story."))
        except TransportError:
            return

    threads = [threading.Thread(target=one, daemon=True) for _ in range(streams)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(target.request_timeout)
    seconds = time.monotonic() - begun
    completion_tokens = sum(a.usage.completion or 0 for a in answers if a.usage)
    if not completion_tokens or seconds <= 0:
        return None
    return {
        "streams": float(streams),
        "answered": float(len(answers)),
        "completion_tokens": float(completion_tokens),
        "seconds": round(seconds, 4),
        "tokens_per_second": round(completion_tokens / seconds, 3),
    }


def cost(gpu_hour: float, gpus: int, measured: Mapping[str, float]) -> WorkedCost:
    """The cost per million tokens with the numbers it was made of."""
    speed = measured["tokens_per_second"]
    value = gpu_hour * gpus / (speed * 3600) * 1_000_000
    return WorkedCost(
        measured=measured,
        per_million=round(value, 4),
        gpu_hour=gpu_hour,
        gpus=gpus,
        formula=FORMULA,
        worked=f"{gpu_hour:g} x {gpus} / ({speed:g} x 3600) x 1,000,000 = {value:.4g}",
    )
