"""Targets of the loopback servers: everything promised, deadlines short."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.engines.base import CAPABILITIES
from launcher.smoke.target import Target
from launcher.smoke.targets.resolve import of_url
from tests.smoke.servers import CONTEXT, SEATS, Server
from tests.support.waiting import slowness

NOT_OURS = frozenset({"completions"})


def target_of(server: Server, **changes: Any) -> Target:
    """The target of a loopback server, everything promised that it does.

    Its time-outs are those of a quiet machine; on a busy one they are longer.
    """
    target = of_url(server.url, model="tiny-ernie", key=server.key)
    settings = {
        "promises": frozenset(CAPABILITIES) - NOT_OURS,
        "engine": "scripted",
        "max_model_len": CONTEXT,
        "max_num_seqs": SEATS,
        "budget": 256,
        "request_timeout": 20.0,
        "settings_url": f"{server.url}/config-info",
        "settings": {"max-model-len": (CONTEXT, "/model_config/max_model_len")},
        **changes,
    }
    factor = slowness()
    for name in ("request_timeout", "silence_timeout", "check_timeout"):
        if settings.get(name) is not None:
            settings[name] *= factor
    return replace(target, **settings)
