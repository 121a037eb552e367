"""From a TARGET on the command line to a `Target`: a URL, a profile, or an instance's name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from launcher.engines.base import CAPABILITIES
from launcher.errors import PreconditionError, UsageError
from launcher.json_values import integer_at, text_at
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.target import Target
from launcher.smoke.targets.address import base_url
from launcher.smoke.targets.model_list import CONTEXT_KEYS, NOBODY, SILENT, budget, model_list
from launcher.smoke.targets.recognition import Recognition, recognize, served_name
from launcher.smoke.targets.skills import skills_of

ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}(/.*)?$")
"""A host and a port without `http://`: neither a name nor a profile."""
LONE = re.compile("[\ud800-\udfff]")


def is_url(target: str) -> bool:
    """True for a URL; everything else is a profile or an instance."""
    return "://" in target


def is_profile(target: str) -> bool:
    """True for a profile's path."""
    return not is_url(target) and ("/" in target or target.endswith((".yaml", ".yml")))


def resolve(
    target: str,
    *,
    model: str | None = None,
    key: str | None = None,
    dialect: str | None = None,
    promises: Sequence[str] = (),
    engine: str | None = None,
    release: str | None = None,
    overlays: tuple[str, ...] = (),
    sets: tuple[str, ...] = (),
    resolve_name: Callable[[], Target] | None = None,
) -> Target:
    """The target behind a word of the command line.

    `key` is a secret reference (`env:NAME`), `promises` capabilities the user vouches for,
    `engine` and `release` what a URL is known to be. `resolve_name` makes the target of a name that
    a later room understands.

    Raises:
        UsageError: a URL that is none, an unknown capability.
        PreconditionError: the instance is not there, or a secret is missing.
    """
    unknown = sorted(set(promises) - set(CAPABILITIES))
    if unknown:
        raise UsageError.of(
            "unknown-capability",
            f"unknown capability {', '.join(unknown)}",
            "--promise",
            f"one of: {', '.join(sorted(CAPABILITIES))}",
        )
    if (overlays or sets) and not is_profile(target):
        raise UsageError.of(
            "no-profile", "--set and --overlay change a profile, and this is none", target
        )
    if engine is None and release is not None:
        raise UsageError.of("no-engine", "a release belongs to an engine", "--release", "--engine")
    if engine is not None and not is_url(target):
        raise UsageError.of(
            "no-url", "--engine says what a URL is; of this target it is known", target
        )
    if ADDRESS.match(target) and not os.path.exists(target):
        raise UsageError.of(
            "bad-url",
            f"{target!r} is not a URL",
            "TARGET",
            f"did you mean http://{target}?",
        )
    if is_url(target):
        described = of_url(
            target,
            model=model,
            key=_secret(key),
            dialect=dialect or "openai",
            engine=engine,
            release=release,
        )
    else:
        from launcher.smoke.targets.instances import of_instance, of_profile

        if resolve_name is not None:
            resolved = resolve_name()
        elif is_profile(target):
            resolved = of_profile(target, overlays, sets)
        else:
            resolved = of_instance(target)
        described = (
            resolved
            if model is None
            else replace(resolved, model=model, endpoint=replace(resolved.endpoint, model=model))
        )
        if dialect is not None:
            endpoint = replace(described.endpoint, dialect=dialect)
            described = replace(described, endpoint=endpoint)
        if key is not None:
            described = replace(described, endpoint=replace(described.endpoint, key=_secret(key)))
    return replace(described, extra=described.extra | frozenset(promises))


def of_url(
    url: str,
    *,
    model: str | None = None,
    key: str | None = None,
    dialect: str = "openai",
    engine: str | None = None,
    release: str | None = None,
) -> Target:
    """A target of which only the address is known; asks for its model's name and its engine."""
    base = base_url(url)
    bare = Endpoint(base, model or "default", key, dialect)
    entries, missing = model_list(bare)
    notes: list[str] = []
    context: int | None = None
    names = [name for e in entries if _is_sendable(name := text_at(e, "id"))]
    answers = missing is None or not missing.startswith((NOBODY, SILENT))
    if model is None:
        if len(names) == 1:
            model = names[0]
        else:
            model = "default"
            why = missing or f"lists {len(names)} models"
            # Without a server the run says so, once; the list of models is not to blame.
            if answers:
                served = served_name(replace(bare, model=model), names)
                model, by = served or (model, "")
                because = f", because {by}" if by else ""
                notes.append(
                    f"the server {why}: asked for the model `{model}`{because} (see --model)"
                )
            elif missing != NOBODY:
                notes.append(f"the server {why}: asked for the model `default` (see --model)")
    for entry in entries:
        if entry.get("id") == model or len(entries) == 1:
            lengths = [integer_at(entry, key) for key in CONTEXT_KEYS]
            context = next((n for n in lengths if n is not None and 0 < n < 1 << 31), None)
    if missing and missing != NOBODY:
        notes.append("without a model list the server is judged on the rest")
    endpoint = replace(bare, model=model)
    recognition = Recognition(engine, release)
    if engine is None and answers:
        recognition = recognize(endpoint, entries)
        if recognition.engine:
            notes.append(
                f"taken for {recognition.engine}, because {recognition.evidence} (see --engine)"
            )
    return Target(
        name=url,
        kind="url",
        endpoint=endpoint,
        model=model,
        engine=recognition.engine,
        release=recognition.release,
        extra=skills_of(model),
        max_model_len=context,
        health_url=f"{endpoint.root_url}/health",
        models_url=f"{base}/models",
        metrics_url=f"{endpoint.root_url}/metrics",
        notes=tuple(notes),
        budget=budget(context),
    )


def _is_sendable(name: str) -> bool:
    """True for a model's name that a request can hold; half a surrogate pair cannot be sent."""
    return bool(name) and not LONE.search(name)


def _secret(reference: str | None) -> str | None:
    if reference is None:
        return None
    from launcher.profile.secrets import resolve as resolve_secret

    if reference.partition(":")[0] not in ("env", "file", "cmd"):
        raise UsageError.of(
            "key-not-a-reference",
            "an API key is given as a reference, never as itself",
            "--api-key",
            "env:NAME, file:PATH or cmd:COMMAND",
        )
    try:
        return resolve_secret(reference)
    except PreconditionError as error:
        raise error from None
