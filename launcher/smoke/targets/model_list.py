"""The model list of a server: its entries, and the limits that follow from them."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.json_values import JsonObject, at, is_list
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint, TransportError
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.clients.wire import ask
from launcher.smoke.target import DEFAULT_BUDGET

ASK_SECONDS = 20.0
"""How long the model list may take while a target is looked at."""
SILENT = "gave no model list"
NOBODY = "takes no connections"
"""Why the model list is missing, where the run itself reports that no server answers."""
CONTEXT_KEYS = ("max_model_len", "context_length", "max_context_length")


def budget(context: int | None, requested: int | None = None) -> int:
    """max_tokens of an ordinary question: what was asked for, within half of the context."""
    tokens = requested or DEFAULT_BUDGET
    return min(tokens, context // 2) if context else tokens


def model_list(endpoint: Endpoint) -> tuple[list[JsonObject], str | None]:
    """The entries of the server's model list, and what it does instead where none can be had."""
    log = CheckLog(Transcript((endpoint.key,) if endpoint.key else ()), "target")
    try:
        reply = ask(
            "GET",
            f"{endpoint.base_url}/models",
            headers=endpoint.auth_headers(),
            body=None,
            deadline=Deadline.after(ASK_SECONDS),
            log=log,
        )
    except TransportError as error:
        if error.kind == "refused":
            return [], NOBODY
        return [], f"{SILENT} ({log.transcript.redactor.text(error.message)})"
    data = at(reply.json(), "data")
    if reply.status == 404:
        return [], "has no model list"
    if reply.status != 200 or not is_list(data):
        return [], f"answers HTTP {reply.status} and no list where its models should be"
    return [e for e in data if isinstance(e, Mapping)], None
