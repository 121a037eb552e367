"""What a URL turns out to be: its engine, its release, its model's name, each with evidence.

An engine's known deviations are only known where the engine is. `--engine` says it; otherwise the
model list's `owned_by` or the names of the metrics do. What is not certain stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from launcher.json_values import JsonObject, at
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint, TransportError
from launcher.smoke.clients.plain import PlainClient
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.clients.wire import Reply, ask

OWNERS = {"fastdeploy": "fastdeploy", "vllm": "vllm"}
"""`owned_by` of a model list in lower case: FastDeploy's protocol.py, vLLM's protocol.py."""
METRICS = re.compile(r"^(?:# (?:HELP|TYPE) )?(fastdeploy|vllm):", re.MULTILINE)
"""Both prefix the names of their metrics with theirs."""
TRANSFORMERS = b'"/load_model"'
"""A route that only transformers serve has (transformers/cli/serving/server.py)."""
LOOK_SECONDS = 5.0
"""How long one of the extra questions may take."""
ANSWER_SECONDS = 20.0
"""How long an answer of one token may take."""
NAMED = re.compile(
    r"(?i)\b(?:support(?:s|ed)?|available|serv(?:es|ed|ing)|valid|one of|did you mean"
    r"|choose from|allowed|expected|known|use)\b[^\n\[\]'\"`:]{0,40}[:\s]{0,4}"
    r"(\[[^\]]{1,500}\]|['\"`][^'\"`]{1,200}['\"`]|[\w./:@-]{1,200})"
)
"""Where an error says which models there are, and their names."""
NAME = re.compile(r"[\w./:@+-]{1,200}")


@dataclass(frozen=True)
class Recognition:
    """An engine and its release, None where unknown; `evidence` says by what, for the report."""

    engine: str | None = None
    release: str | None = None
    evidence: str = ""


def recognize(endpoint: Endpoint, entries: Sequence[JsonObject]) -> Recognition:
    """The engine behind an endpoint by its model list (`entries`) and its own routes."""
    engine, evidence = None, ""
    for entry in entries:
        owner = str(entry.get("owned_by")).lower()
        if owner in OWNERS:
            engine = OWNERS[owner]
            evidence = f"its model list says owned_by {entry['owned_by']!r}"
            break
    if engine is None:
        match = METRICS.search(_get(endpoint, "/metrics").text)
        if match:
            engine = match[1]
            evidence = f"its metrics are called {engine}:..."
    if engine is None and TRANSFORMERS in _get(endpoint, "/openapi.json").body:
        engine, evidence = "transformers", "its routes are those of transformers serve"
    if engine is None:
        return Recognition()
    release = _release(endpoint) if engine == "vllm" else None
    if release:
        evidence += f", /version says {release}"
    return Recognition(engine, release, evidence)


def served_name(endpoint: Endpoint, listed: Sequence[str]) -> tuple[str, str] | None:
    """The model that answers where the endpoint's own name is refused, and who named it.

    None where that name is answered, or no other is.
    """
    refusal = _refusal(endpoint)
    if refusal is None:
        return None
    named = [name for name in names_in(refusal) if name != endpoint.model]
    tries = [(name, "its error names it") for name in named[:2]]
    tries += [(name, "it is the first of its list") for name in listed[:1]]
    for name, by in tries:
        if _refusal(replace(endpoint, model=name)) is None:
            return name, by
    return None


def names_in(error: str) -> list[str]:
    """The names of models that an error message offers."""
    names: list[str] = []
    for match in NAMED.finditer(error[:4000]):
        text = match[1]
        quoted = text[0] in "['\"`"
        for part in text.strip("[]").split(","):
            name = part.strip(" '\"`")
            likely = quoted or re.search(r"[\d/-]", name)
            if NAME.fullmatch(name) and likely and name != "default" and name not in names:
                names.append(name)
    return names


def _refusal(endpoint: Endpoint) -> str | None:
    """The error by which a question to the endpoint's model is refused; None otherwise."""
    body: JsonObject = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 1,
    }
    try:
        limit = Deadline.after(ANSWER_SECONDS)
        answer = PlainClient().chat(endpoint, body, limit, _log(endpoint))
    except TransportError:
        return None
    return answer.error or "" if answer.status in (400, 404, 422) else None


def _release(endpoint: Endpoint) -> str | None:
    version = at(_get(endpoint, "/version").json(), "version")
    try:
        return str(Version(str(version)))
    except InvalidVersion:
        return None


def _get(endpoint: Endpoint, route: str) -> Reply:
    """The answer of a route at the server's root; an empty one where there is none."""
    try:
        reply = ask(
            "GET",
            endpoint.root_url + route,
            headers=endpoint.all_headers(),
            body=None,
            deadline=Deadline.after(LOOK_SECONDS),
            log=_log(endpoint),
        )
    except TransportError:
        return Reply(0, {}, b"", 0.0, 0)
    return reply if reply.status == 200 else Reply(reply.status, {}, b"", 0.0, 0)


def _log(endpoint: Endpoint) -> CheckLog:
    return CheckLog(Transcript((endpoint.key,) if endpoint.key else ()), "target")
