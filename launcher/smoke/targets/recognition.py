"""What a URL turns out to be: its engine, its release, its model's name, each with evidence.

An engine's known deviations are only known where the engine is. `--engine` says it; otherwise the
model list's `owned_by` or the names of the metrics do. What is not certain stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from launcher import engines
from launcher.engines.base import Engine
from launcher.json_values import JsonObject, at
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint, TransportError
from launcher.smoke.clients.plain import PlainClient
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.clients.wire import Reply, ask

METRIC = re.compile(r"^(?:# (?:HELP|TYPE) )?(\w{1,40}):", re.MULTILINE)
"""An engine's prefix of the names of its metrics."""
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
    recognized = _by_owner(entries) or _by_metrics(endpoint) or _by_route(endpoint)
    if recognized is None:
        return Recognition()
    engine, evidence = recognized
    path = engine.signature.version_path
    release = _release(endpoint, path) if path else None
    if release:
        evidence += f", {path} says {release}"
    return Recognition(engine.name, release, evidence)


def _by_owner(entries: Sequence[JsonObject]) -> tuple[Engine, str] | None:
    by_owner = {e.signature.owned_by: e for e in engines.every() if e.signature.owned_by}
    for entry in entries:
        engine = by_owner.get(str(entry.get("owned_by")).lower())
        if engine is not None:
            return engine, f"its model list says owned_by {entry['owned_by']!r}"
    return None


def _by_metrics(endpoint: Endpoint) -> tuple[Engine, str] | None:
    prefixes = set(METRIC.findall(_get(endpoint, "/metrics").text))
    for engine in engines.every():
        prefix = engine.signature.metrics
        if prefix in prefixes:
            return engine, f"its metrics are called {prefix}:..."
    return None


def _by_route(endpoint: Endpoint) -> tuple[Engine, str] | None:
    document = _get(endpoint, "/openapi.json").body
    for engine in engines.every():
        route = engine.signature.route
        if route is not None and f'"{route}"'.encode() in document:
            return engine, f"its routes are those of {engine.title}"
    return None


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


def _release(endpoint: Endpoint, path: str) -> str | None:
    version = at(_get(endpoint, path).json(), "version")
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
