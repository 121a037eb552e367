"""From a word on the command line to what is measured."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.bench.run import Subject
from launcher.bench.server import Server, server_of
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject
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
    kept = profile if profile is not None else instances[0].profile()
    return Subject(target, server_of(instances), kept)
