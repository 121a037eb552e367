"""The gateway's configuration, and the profile by which a keeper runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.engines.gateway.checks import KEY_ENV, LOOPBACK
from launcher.json_values import JsonObject, JsonValue
from launcher.profile.build import build
from launcher.profile.model import Profile

DRAIN = 600.0
"""Seconds in which running streams may end when a gateway is stopped."""
GRACE = 10.0
NO_KEY = "none"
"""What is sent to replicas that have no key: the client in LiteLLM refuses an empty one."""
HOOKS = "ernie_gateway_hooks.hooks"
"""Of `launcher/engines/gateway/hooks/`, which is on the gateway's PYTHONPATH."""
ANTHROPIC_MODELS = "claude-*"
"""The names that Anthropic's clients send where the user has set none."""


@dataclass(frozen=True)
class GatewaySettings:
    """What a gateway of the service `name` is.

    `upstream` is the root of the chat completions that it asks, `model` the name by which replicas
    know their model. `key` is the reference to the key that clients send and replicas want, and
    `key_digest` the SHA-256 of its value in hex; None: there is none. `timeout` is the longest time
    for a whole answer, in seconds.
    """

    name: str
    upstream: str
    model: str
    timeout: float
    key: str | None = None
    key_digest: str | None = None


def render(settings: GatewaySettings) -> str:
    """LiteLLM's configuration: JSON, which is YAML too.

    `hosted_vllm` is LiteLLM's word for a server with chat completions and `reasoning_content`; its
    `openai` would ask for `/v1/responses`, which no replica has.
    """
    key = NO_KEY if settings.key is None else f"os.environ/{KEY_ENV}"
    target: JsonObject = {
        "api_base": settings.upstream,
        "api_key": key,
        "timeout": settings.timeout,
        "stream_timeout": settings.timeout,
    }
    document: JsonObject = {
        "model_list": [
            {
                "model_name": ANTHROPIC_MODELS,
                "litellm_params": {"model": f"hosted_vllm/{settings.model}", **target},
            },
            {"model_name": "*", "litellm_params": {"model": "hosted_vllm/*", **target}},
        ],
        "litellm_settings": {
            "telemetry": False,
            "callbacks": [HOOKS],
            "drop_params": True,
            "num_retries": 0,
            "request_timeout": settings.timeout,
        },
        # The front door retries, and knows which replica answers.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {},
    }
    return json.dumps(document, indent=1) + "\n"


def config_name(settings: GatewaySettings) -> str:
    """The name of the configuration's file: another one for each content and each key."""
    identity = f"{render(settings)}{settings.key_digest}"
    return f"gateway-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"


def gateway_profile(
    settings: GatewaySettings,
    instance: str,
    config_path: Path,
    *,
    notify: Sequence[JsonObject] = (),
    drain: float = DRAIN,
) -> Profile:
    """The profile of the gateway `instance`, whose configuration lies at `config_path`.

    `notify` are targets as in a service's own profile. `drain` are the seconds that a stop leaves
    running requests.
    """
    values: dict[str, JsonValue] = {
        "name": instance,
        "engine": "gateway",
        "model": settings.model,
        "description": f"gateway of the service {settings.name}",
        "host": LOOPBACK,
        "ports": {"api": "auto"},
        "engine-args": {"config": str(config_path)},
        "health": {"startup-timeout": 900.0, "no-progress-timeout": 300.0, "probe-timeout": 10.0},
        # Without it one dialect is away: it is started again whatever happens.
        "restart": {
            "policy": "always", "max-restarts": 100, "window": 600.0, "first-delay": 0.1,
            "max-delay": 5.0,
        },
        # One loop does all: while it counts the tokens of a long prompt, it answers nothing.
        "liveness": {
            "interval": 2.0, "stall-after": 90.0, "compute-stall-after": 300.0, "canary": False,
        },
        "stop": {"drain": drain, "grace": GRACE},
    }  # fmt: skip
    if settings.key is not None:
        values["env"] = {KEY_ENV: settings.key}
    if notify:
        values["notify"] = list(notify)
    return replace(build(values), text=json.dumps(values, indent=1) + "\n")
