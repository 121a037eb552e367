"""From a word on the command line to what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher.bench.run import Subject
from launcher.bench.server import Server, server_of
from launcher.engines.model_checks import config_in
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject, number_at, text_at
from launcher.smoke.target import Target


def make_subject(
    target: Target, instances: Sequence[InstanceDir] = (), profile: JsonObject | None = None
) -> Subject:
    """The subject of a target; `instances` serve it, none are known of a URL.

    Raises:
        PreconditionError: an instance's plan is damaged.
    """
    if not instances:
        url = target.metrics_url or f"{target.endpoint.root_url}/metrics"
        is_ours = target.kind != "hosted"  # a provider's address has no metrics for us
        return Subject(target, Server(url=url if is_ours else "", engine=target.engine or ""))
    if target.max_model_len is None:
        models = (text_at(one.plan_data(), "model") for one in instances)
        target = replace(target, max_model_len=next(filter(None, map(_context, models)), None))
    kept = profile if profile is not None else instances[0].profile()
    return Subject(target, server_of(instances), kept)


def _context(model: str) -> int | None:
    """The tokens that a local model was made for: an engine that sets no limit has that one."""
    size = (
        number_at(config_in(Path(model)), "max_position_embeddings") if model[:1] == "/" else None
    )
    return size if isinstance(size, int) else None
