"""Targets of our own: a running instance, a profile of one, or a hosted endpoint's profile."""

from __future__ import annotations

from dataclasses import replace

from launcher import engines
from launcher.engines.base import Release
from launcher.errors import DeployError, PreconditionError, Problem, ProfileError
from launcher.json_values import JsonObject, JsonValue, integer_at, list_at, object_at
from launcher.plan.model import LaunchPlan
from launcher.profile.build import build
from launcher.profile.model import Profile
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.section.limits import seconds
from launcher.smoke.section.rules import validate
from launcher.smoke.target import DEFAULT_TIMEOUT, Target
from launcher.smoke.targets.address import url_problem
from launcher.smoke.targets.model_list import CONTEXT_KEYS, budget, model_list
from launcher.smoke.targets.skills import skills_of

SECRET_KINDS = ("env:", "file:", "cmd:")


def of_instance(name: str) -> Target:
    """The target that a running instance is.

    Raises:
        UsageError: no such instance.
        PreconditionError: it is not ready, or its key cannot be had.
    """
    from launcher.smoke.targets.running_instance import serving

    folder = serving(name)
    kept = build(folder.profile(), str(folder.folder / "profile.json"))
    return replace(of_plan(folder.plan(), kept), folder=folder.folder)


def of_profile(path: str, overlays: tuple[str, ...] = (), sets: tuple[str, ...] = ()) -> Target:
    """The target that a profile stands for: a hosted endpoint, or the instance of its name.

    Raises:
        ProfileError: the profile is wrong.
        PreconditionError: its instance is not ready.
    """
    from launcher import profile

    loaded = profile.load(path, overlays=overlays, sets=sets)
    if not engines.get(loaded.engine).local:
        return of_hosted(loaded)
    from launcher.smoke.targets.running_instance import serving

    validate(loaded)
    folder = serving(loaded.name, path)
    return replace(of_plan(folder.plan(), loaded), folder=folder.folder)


def of_plan(plan: LaunchPlan, profile: Profile) -> Target:
    """The target of a launch plan.

    Raises:
        PreconditionError: the key cannot be had.
        ProfileError: the `smoke:` section is wrong.
    """
    engine = engines.get(plan.engine)
    release = engine.release(plan.release) if plan.release else None
    promises = engine.capabilities(profile, release)
    ready = plan.readiness
    base = plan.base_url.rstrip("/")
    base = base if base.endswith("/v1") else f"{base}/v1"
    key = _secret(profile.api_key.text()) if profile.api_key else None
    model = plan.served_model or ready.model or plan.model
    endpoint = Endpoint(base, model, key)
    context = profile.max_model_len or _context(endpoint)
    settings = {s.key: (s.expected, s.pointer) for s in ready.settings}
    target = Target(
        name=plan.instance,
        kind="instance",
        endpoint=endpoint,
        model=model,
        engine=engine.answers_of or plan.engine,
        release=_version(release, plan),
        promises=promises,
        max_model_len=context,
        max_num_seqs=profile.max_num_seqs,
        health_url=endpoint.root_url + ready.health_path,
        models_url=f"{base}/models" if ready.models_path else None,
        metrics_url=_of_port(plan, endpoint, "metrics", "/metrics"),
        settings_url=_of_port(plan, endpoint, ready.settings_port, ready.settings_path),
        settings=settings,
    )
    return shaped(target, profile, (profile.model, profile.served_model_name, plan.instance))


def of_hosted(profile: Profile) -> Target:
    """The target of a hosted profile.

    Raises:
        PreconditionError: a secret cannot be had.
        ProfileError: the `smoke:` section is wrong.
    """
    settings: dict[str, JsonValue] = {**profile.resolved, **profile.hosted}
    engine = engines.get(profile.engine)
    problems = engine.validate(profile, None)
    wrong = url_problem(str(settings["base-url"])) if settings.get("base-url") else None
    if wrong:
        problems = [*problems, Problem("bad-url", wrong, profile.where("base-url"))]
    if problems:
        raise ProfileError(problems)
    fields, secret_fields = _split_secrets(object_at(settings, "body"))
    headers, secret_headers = _split_secrets(object_at(settings, "headers"))
    endpoint = Endpoint(
        str(settings["base-url"]).rstrip("/"),
        profile.model,
        _secret(profile.api_key.text()) if profile.api_key else None,
        str(settings.get("dialect") or "openai"),
        {**{name: str(value) for name, value in headers.items()}, **secret_headers},
        fields,
        secret_fields,
    )
    models = f"{endpoint.base_url}/models"
    promises = engine.capabilities(profile, None)
    target = Target(
        name=profile.name,
        kind="hosted",
        endpoint=endpoint,
        model=profile.model,
        engine=engine.name,
        promises=promises if settings.get("promises") is not None else None,
        max_model_len=profile.max_model_len,
        max_num_seqs=profile.max_num_seqs,
        models_url=models if "models" in promises else None,
        hidden=tuple(secret_headers.values()),
    )
    return shaped(target, profile, (profile.model,))


def shaped(target: Target, profile: Profile, names: tuple[str | None, ...]) -> Target:
    """`target` with what the profile's `smoke:` section says, and the skills of its model.

    Raises:
        ProfileError: the section is wrong.
    """
    section = profile.smoke
    validate(profile)
    skills = next((s for s in map(skills_of, names) if s), frozenset())
    try:
        limit = section.get("request-timeout") or section.get("timeout") or DEFAULT_TIMEOUT
        request_timeout = seconds(limit)
        check_timeout = target.check_timeout
        if "timeout" in section:
            check_timeout = seconds(section["timeout"])
    except ValueError as error:
        raise ProfileError.of("bad-smoke-section", str(error), profile.where("smoke")) from error
    denied = frozenset(map(str, list_at(section, "not-promised")))
    extra = skills | frozenset(map(str, list_at(section, "promises")))
    return replace(
        target,
        smoke=section,
        extra=extra - denied,
        denied=denied,
        budget=budget(target.max_model_len, integer_at(section, "max-tokens")),
        request_timeout=request_timeout,
        check_timeout=check_timeout,
    )


def _version(release: Release | None, plan: LaunchPlan) -> str | None:
    return release.version if release else plan.release


def _of_port(
    plan: LaunchPlan, endpoint: Endpoint, port: str | None, path: str | None
) -> str | None:
    """The address of a route on one of the plan's ports; on the API's port where it has none."""
    if path is None:
        return None
    try:
        number = plan.port(port or "").number
    except KeyError:
        return endpoint.root_url + path
    host = endpoint.root_url.rpartition(":")[0]
    return f"{host}:{number}{path}"


def _context(endpoint: Endpoint) -> int | None:
    entries, _ = model_list(endpoint)
    for entry in entries:
        for key in CONTEXT_KEYS:
            length = integer_at(entry, key)
            if entry.get("id") == endpoint.model and length is not None:
                return length
    return None


def _split_secrets(values: JsonObject) -> tuple[dict[str, JsonValue], dict[str, str]]:
    plain: dict[str, JsonValue] = {}
    secret: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, str) and value.startswith(SECRET_KINDS):
            secret[name] = _secret(value)
        else:
            plain[name] = value
    return plain, secret


def _secret(reference: str) -> str:
    from launcher.profile.secrets import resolve

    try:
        return resolve(reference)
    except PreconditionError:
        raise
    except DeployError as error:
        raise PreconditionError(error.problems) from error
