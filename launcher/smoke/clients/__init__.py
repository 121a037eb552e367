"""The ways to ask a server: plain requests and the official clients, imported when used."""

from __future__ import annotations

import importlib

from launcher.errors import PreconditionError, UsageError
from launcher.smoke.clients.base import Client

CLIENTS: dict[str, str] = {
    "requests": "launcher.smoke.clients.plain:PlainClient",
    "openai": "launcher.smoke.clients.openai_sdk:OpenAIClient",
    "anthropic": "launcher.smoke.clients.anthropic_sdk:AnthropicClient",
}
"""Name in `--client` to the class."""

DIALECTS: dict[str, tuple[str, ...]] = {
    "openai": ("requests", "openai"),
    "anthropic": ("requests", "anthropic"),
}
"""The clients that `--client all` means for a dialect."""


def client(name: str) -> Client:
    """The client called `name`.

    Raises:
        UsageError: no such client.
        PreconditionError: its package is not installed.
    """
    if name not in CLIENTS:
        raise UsageError.of(
            "unknown-client",
            f"unknown client {name!r}",
            remedy=f"one of: {', '.join(CLIENTS)}, all",
        )
    module, _, attribute = CLIENTS[name].partition(":")
    try:
        instance: Client = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        raise PreconditionError.of(
            "missing-client",
            f"the official {name!r} client is not installed ({error})",
            remedy="pip install 'ernie-deploy[clients]'",
        ) from error
    return instance
