"""What `/metrics` shows of an instance: names, units and where each number comes from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from launcher import __version__
from launcher.host.processes import resident_bytes
from launcher.host.sockets import reachable
from launcher.keeper.admin.counters import Counters
from launcher.keeper.admin.prometheus_text import Exposition
from launcher.keeper.state import State
from launcher.keeper.usage import KeyUsage
from launcher.lifecycle import STORED
from launcher.liveness import policy
from launcher.liveness.judge import Liveness
from launcher.liveness.sample import Sample
from launcher.plan.model import LaunchPlan

PREFIX = "ernie_deploy_"


@dataclass(frozen=True)
class EngineSample:
    """What the engine's own metrics said at the last sample, `age` seconds ago.

    `values` are by the engine's names, which `names` gives a meaning; None where they could not be
    read.
    """

    age: float
    values: Mapping[str, float] | None
    names: policy.Counters


def newest(plan: LaunchPlan, sample: Sample | None) -> EngineSample | None:
    """What the keeper's newest sample shows of the engine; None where none was taken yet."""
    if plan.liveness is None or sample is None:
        return None
    return EngineSample(time.monotonic() - sample.at, sample.counters, plan.liveness.counters)


def engine_metrics_url(plan: LaunchPlan) -> str | None:
    """Where a scraper on this machine finds the engine's own metrics; None where it has none."""
    watch = plan.liveness
    if watch is None or watch.metrics_port is None:
        return None
    use = plan.port(watch.metrics_port)
    host = reachable(use.address)
    return f"http://{f'[{host}]' if ':' in host else host}:{use.number}{watch.metrics_path}"


def render(
    plan: LaunchPlan,
    state: State,
    counters: Counters,
    sample: EngineSample | None,
    usage: Mapping[str, KeyUsage] | None = None,
) -> str:
    """The text of `/metrics`; `usage` by key is there where the engine is a front door."""
    out = Exposition(PREFIX, {"instance": plan.instance})
    _identity(out, plan, state)
    _events(out, counters)
    _restarts(out, plan, counters)
    _engine(out, sample)
    if usage is not None:
        _keys(out, usage)
    url = engine_metrics_url(plan)
    if url is not None:
        text = "Where the engine's own metrics are; always 1."
        out.gauges("engine_metrics_info", text, [({"url": url}, 1)])
    out.gauge("keeper_resident_bytes", "Memory of the keeper process.", resident_bytes())
    return out.text()


def _identity(out: Exposition, plan: LaunchPlan, state: State) -> None:
    labels = {
        "engine": plan.engine,
        "release": plan.release or "",
        "model": plan.served_model or plan.model,
        "version": __version__,
    }
    out.gauges("info", "What runs; always 1. `version` is that of ernie-deploy.", [(labels, 1)])
    out.gauges(
        "state",
        "1 for the state that the instance is in, 0 for the others.",
        [({"state": one.value}, float(one is state.state)) for one in STORED],
    )
    if state.liveness is not None:
        verdict = state.liveness.verdict
        out.gauges(
            "liveness",
            "1 for the last verdict on the ready engine, 0 for the others.",
            [({"verdict": one.value}, float(one is verdict)) for one in Liveness],
        )
    out.gauge(
        "started_timestamp_seconds", "When this run began, in Unix seconds.", state.started_at
    )
    out.gauge(
        "ready_timestamp_seconds",
        "When this run became ready, in Unix seconds; absent before.",
        state.ready_at,
    )


def _restarts(out: Exposition, plan: LaunchPlan, counters: Counters) -> None:
    out.counter("restarts_total", "Restarts of the engine by its keeper.", counters.restarts)
    allowed = plan.restart
    if allowed.policy != "never":
        remaining = allowed.max_restarts - counters.recent_restarts(allowed.window)
        text = "Restarts that the policy still allows now; a failure at 0 is final."
        out.gauge("restarts_remaining", text, max(0, remaining))


def _events(out: Exposition, counters: Counters) -> None:
    out.counters(
        "liveness_verdicts_total",
        "Changes of the liveness verdict, by the new verdict.",
        [({"verdict": name}, count) for name, count in counters.verdicts.items()],
    )
    out.counters(
        "failures_total",
        "Failures of the engine, by code; `ernie-deploy explain CODE` describes it.",
        [({"code": code}, count) for code, count in counters.failures.items()],
    )
    out.counters(
        "incidents_total",
        "Incidents that were written down, by kind; `ernie-deploy incidents` lists them.",
        [({"kind": kind}, count) for kind, count in counters.incidents.items()],
    )
    out.counters(
        "notifications_total",
        "Messages to the targets of `notify`, by outcome; each message counts once.",
        [({"outcome": outcome}, count) for outcome, count in counters.notifications.items()],
    )
    out.gauges(
        "start_phase_seconds",
        "Duration of each phase of the last start; the current phase up to now.",
        [({"phase": name}, seconds) for name, seconds in counters.phase_seconds().items()],
    )
    out.gauge(
        "ready_seconds",
        "Seconds from the start of the engine's process to ready, of the last start.",
        counters.ready_seconds,
    )
    out.counter(
        "unavailable_seconds_total",
        "Seconds in which /readyz did not answer 200, since the instance was first ready.",
        counters.unavailable_seconds(),
    )


def _keys(out: Exposition, usage: Mapping[str, KeyUsage]) -> None:
    """By the name of the key; `-` are requests without one that is known."""
    for name, help_text, values in (
        ("requests", "Requests, refused ones included.",
         {key: one.requests for key, one in usage.items()}),
        ("errors", "Answers from status 400 on, or broken off by the replica.",
         {key: one.errors for key, one in usage.items()}),
        ("received_bytes", "Bytes of requests.",
         {key: one.received for key, one in usage.items()}),
        ("sent_bytes", "Bytes of answers.", {key: one.sent for key, one in usage.items()}),
        ("counted_answers", "Answers whose tokens are known: plain ones.",
         {key: one.counted for key, one in usage.items()}),
        ("prompt_tokens", "Tokens of prompts, of the counted answers.",
         {key: one.prompt_tokens for key, one in usage.items()}),
        ("completion_tokens", "Generated tokens, of the counted answers.",
         {key: one.completion_tokens for key, one in usage.items()}),
    ):  # fmt: skip
        out.counters(
            f"key_{name}_total", help_text, [({"key": key}, values[key]) for key in sorted(values)]
        )
    out.counters(
        "key_refused_total",
        "Requests that the front door refused, by reason: key (401), rate, concurrency (429).",
        [
            ({"key": key, "reason": reason}, count)
            for key, one in sorted(usage.items())
            for reason, count in (
                ("key", one.refused_key),
                ("rate", one.refused_rate),
                ("concurrency", one.refused_concurrency),
            )
        ],
    )


def _engine(out: Exposition, sample: EngineSample | None) -> None:
    """The engine's numbers under names that are the same for every engine."""
    if sample is None:
        return
    out.gauge("sample_age_seconds", "Age of the last sample of the engine.", sample.age)
    names, values = sample.names, sample.values or {}
    for name, help_text, source in (
        ("received", "Requests that the engine has taken.", names.received),
        ("finished", "Requests that the engine has answered.", names.finished),
    ):
        if source is not None and source in values:
            out.counter(f"engine_requests_{name}_total", help_text, values[source])
    for name, help_text, sources in (
        ("running", "Requests that the engine works on.", names.running),
        ("waiting", "Requests that wait in the engine's queue.", names.waiting),
    ):
        present = [values[one] for one in sources if one in values]
        out.gauge(f"engine_requests_{name}", help_text, sum(present) if present else None)
    if names.tokens is not None and names.tokens in values:
        help_text = "Tokens that the engine has generated."
        out.counter("engine_generated_tokens_total", help_text, values[names.tokens])
    usage = values.get(names.kv_usage) if names.kv_usage is not None else None
    out.gauge("engine_kv_cache_usage_ratio", "Use of the engine's KV cache, 0 to 1.", usage)
