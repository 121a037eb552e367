"""The server's own figures: read around every level and every second, beside the client's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from launcher.bench.records import Record
from launcher.bench.result import Sample, ServerFigure
from launcher.codec import DecodeError
from launcher.errors import DeployError
from launcher.host import gpus, processes
from launcher.instance.store import InstanceDir, keeper_of
from launcher.json_values import JsonObject
from launcher.liveness.policy import Counters
from launcher.observe.figures import Reading, Source, ask_figures, reading, source_of
from launcher.plan.figures import Figures
from launcher.preparation.gpus import cards as cards_of
from launcher.probe.request import ask

TIMEOUT = 2.0
"""Seconds that one server gets to show its metrics."""
KV_NAMES = {"vllm": "kv_cache_usage_perc", "fastdeploy": "gpu_cache_usage_perc"}
"""The engines whose metrics a URL may have; the rest of the names is the same in both."""
COUNT_SHARE = 0.01
"""Counts further apart than this share, and more than one, are disputed."""
TTFT_SHARE, TTFT_LEAST = 0.2, 0.01
"""The same for the mean time to the first token: a share, and at least so many seconds."""


@dataclass(frozen=True)
class Server:
    """What answers the requests: instances of ours, or the metrics of a URL.

    `url` and `engine` are empty where metrics are missing. `cards` are the GPUs of the instances.
    """

    instances: tuple[InstanceDir, ...] = ()
    plans: tuple[JsonObject, ...] = ()
    url: str = ""
    engine: str = ""
    cards: tuple[str, ...] = ()

    def read(self) -> Reading | None:
        """The sum over all instances (the highest use of a KV cache); None where none tells."""
        readings = []
        for plan in self.plans:
            with contextlib.suppress(OSError, ValueError, DeployError, DecodeError):
                one = ask_figures(plan, TIMEOUT)
                if one is not None:
                    readings.append(one)
        if self.url:
            with contextlib.suppress(OSError, ValueError):
                one = self._read_url()
                if one is not None:
                    readings.append(one)
        # Some of several would look like a fall of every counter.
        expected = len(self.plans) + bool(self.url)
        return _together(readings) if readings and len(readings) == expected else None

    def _read_url(self) -> Reading | None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or parts.hostname is None:
            return None
        answer = ask(parts.hostname, parts.port or 80, parts.path or "/metrics", timeout=TIMEOUT)
        if answer.status != 200:
            return None
        text = answer.body.decode(errors="replace")
        prefix = self.engine or next((name for name in KV_NAMES if f"{name}:" in text), "")
        if prefix not in KV_NAMES:
            return None
        return reading(_source(prefix), text, 0.0)

    def sample(self, sample: Sample) -> Sample:
        """`sample` with what the server, its GPUs and its processes say now."""
        now = self.read()
        memory = gpus.memory_of(self.cards) if self.cards else None
        return replace(
            sample,
            running=now.running if now else None,
            waiting=now.waiting if now else None,
            kv_use=now.kv_usage if now else None,
            gpu_memory=tuple(memory[card].used for card in self.cards if card in memory)
            if memory
            else (),
            server_memory=self._resident(),
        )

    def _resident(self) -> int | None:
        """Resident bytes of the engines of all instances; shared pages count for each."""
        total = 0
        for instance in self.instances:
            pid = keeper_of(instance)
            keeper = processes.look(pid) if pid is not None else None
            if keeper is not None:
                below = processes.descendants(keeper)
                total += sum(processes.resident_bytes(one.pid) for one in below)
        return total or None


def server_of(instances: Sequence[InstanceDir]) -> Server:
    """The server that some instances are; those of a front door have no figures of an engine.

    Raises:
        PreconditionError: a plan is damaged.
    """
    plans, cards = [], []
    for instance in instances:
        plan = instance.plan_data()
        with contextlib.suppress(ValueError):
            if ask_source(plan):
                plans.append(plan)
        cards += [card for card in _cards(instance) if card not in cards]
    return Server(tuple(instances), tuple(plans), cards=tuple(cards))


def _cards(instance: InstanceDir) -> tuple[str, ...]:
    """The GPUs of an instance: most profiles name none, and its keeper knows what it may see."""
    keeper = keeper_of(instance)
    names = ("CUDA_VISIBLE_DEVICES",)
    return cards_of(instance.plan(), processes.environment(keeper, names) if keeper else {})


def ask_source(plan: JsonObject) -> bool:
    """True where the engine of a plan has figures.

    Raises:
        ValueError: the plan is damaged.
    """
    return source_of(plan) is not None


def _source(prefix: str) -> Source:
    return Source(
        "api",
        "/metrics",
        Counters(
            progress=(f"{prefix}:generation_tokens_total",),
            running=(f"{prefix}:num_requests_running",),
            waiting=(f"{prefix}:num_requests_waiting",),
            finished=f"{prefix}:request_success_total",
            tokens=f"{prefix}:generation_tokens_total",
            kv_usage=f"{prefix}:{KV_NAMES[prefix]}",
        ),
        Figures(ttft=f"{prefix}:time_to_first_token_seconds"),
    )


def _together(readings: Sequence[Reading]) -> Reading:
    def total(name: str) -> float | None:
        values = [getattr(one, name) for one in readings]
        return None if any(value is None for value in values) else sum(values)

    usage = [one.kv_usage for one in readings if one.kv_usage is not None]
    return Reading(
        at=readings[0].at,
        running=total("running"),
        waiting=total("waiting"),
        finished=total("finished"),
        tokens=total("tokens"),
        ttft_sum=total("ttft_sum"),
        ttft_count=total("ttft_count"),
        kv_usage=max(usage) if usage else None,
    )


@dataclass(frozen=True)
class Around:
    """One repetition of a level: the server's readings before and after it, and its records."""

    before: Reading | None
    after: Reading | None
    records: tuple[Record, ...]


def server_figures(passes: Sequence[Around], samples: Sequence[Sample]) -> list[ServerFigure]:
    """The server's figures of a level beside the client's, warm-up included on both sides."""
    rise = {name: _rise(passes, name) for name in ("finished", "tokens", "ttft_sum", "ttft_count")}
    records = [record for one in passes for record in one.records]
    successes = [record for record in records if record.is_success]
    unfinished = len(records) - len(successes)
    firsts = [record.ttft for record in records if record.ttft is not None]
    figures = []
    if rise["finished"] is not None:
        figures.append(_count("requests", float(len(successes)), rise["finished"], unfinished))
    if rise["tokens"] is not None:
        tokens = float(sum(record.output_tokens or 0 for record in successes))
        figures.append(_count("output_tokens", tokens, rise["tokens"], unfinished))
    if rise["ttft_sum"] is not None and rise["ttft_count"] and firsts:
        client, server = sum(firsts) / len(firsts), rise["ttft_sum"] / rise["ttft_count"]
        figures.append(_first_token(client, server))
    for name in ("running", "waiting", "kv_use"):
        values = [value for one in samples if (value := getattr(one, name)) is not None]
        if values:
            unit = "ratio" if name == "kv_use" else "requests"
            figures.append(ServerFigure(f"{name}.max", unit, None, max(values)))
            figures.append(ServerFigure(f"{name}.mean", unit, None, sum(values) / len(values)))
    return figures


def _rise(passes: Sequence[Around], name: str) -> float | None:
    total = 0.0
    for one in passes:
        old = getattr(one.before, name) if one.before else None
        new = getattr(one.after, name) if one.after else None
        if old is None or new is None or new < old:
            return None
        total += new - old
    return total


def _count(name: str, client: float, server: float, unfinished: int) -> ServerFigure:
    unit = "tokens" if name == "output_tokens" else "requests"
    difference = server - client
    if abs(difference) <= max(1.0, COUNT_SHARE * client):
        return ServerFigure(name, unit, client, server)
    if difference > 0:
        reason = f"the server counts {difference:.0f} more: "
        reason += (
            f"{unfinished} requests failed or were cut off here, and may have gone on there"
            if unfinished
            else "other clients use it, or it counts tokens that `usage` leaves out"
        )
    else:
        reason = f"the server counts {-difference:.0f} fewer: not all of its processes are read"
    return ServerFigure(name, unit, client, server, True, reason)


def _first_token(client: float, server: float) -> ServerFigure:
    difference = client - server
    if abs(difference) <= max(TTFT_LEAST, TTFT_SHARE * server):
        return ServerFigure("ttft.mean", "s", client, server)
    where = (
        "before the engine begins to count, or on the way back: network, front door, HTTP front end"
        if difference > 0
        else "for other requests than these, or from an earlier moment: other clients use it"
    )
    reason = f"{abs(difference):.4f} s {'pass' if difference > 0 else 'more are counted'} {where}"
    return ServerFigure("ttft.mean", "s", client, server, True, reason)


def facts_of(plans: Sequence[JsonObject]) -> Mapping[str, str]:
    """Name and release of the engines of some plans, for `versions`."""
    facts: dict[str, str] = {}
    for plan in plans:
        engine, release = plan.get("engine"), plan.get("release")
        if isinstance(engine, str) and isinstance(release, str):
            facts[engine] = release
    return facts
