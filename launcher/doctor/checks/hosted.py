"""What can be known of an endpoint that a third party runs, before anything is asked of it."""

from __future__ import annotations

import socket
import threading
import urllib.request
from urllib.parse import urlsplit

from launcher.doctor.model import Check, Outcome, Subject, fail, ok, unknown
from launcher.errors import DeployError
from launcher.profile.secrets import resolve

DIAL = 3.0
"""Seconds to connect to one address."""
DEADLINE = 8.0
"""Seconds for all of it: a resolver without an answer takes its own, much longer time."""


def endpoint(subject: Subject) -> Outcome | None:
    """Resolves the name and opens a connection; nothing is sent."""
    profile = subject.profile
    if profile is None:
        return None
    url = str({**profile.resolved, **profile.hosted}.get("base-url") or "")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        host, port = None, 0
    if not host:
        return fail(
            "`base-url` is not an http or https URL", "give it as `base-url: https://.../v1`"
        )
    local = host == "localhost" or host.startswith("127.") or host == "::1"
    through_proxy = urllib.request.getproxies().get(parts.scheme)
    if through_proxy and not local and not urllib.request.proxy_bypass(host):
        return unknown(f"{host} would be asked through a proxy; that is not tried here")
    summaries: list[str | None] = []
    thread = threading.Thread(target=lambda: summaries.append(_dial(host, port)), daemon=True)
    thread.start()
    thread.join(DEADLINE)
    problem = summaries[0] if summaries else f"no answer in {DEADLINE:g} s"
    if problem is None:
        return ok(f"{host}:{port} accepts connections")
    return fail(
        f"{host}:{port} cannot be reached from here: {problem}",
        "correct `base-url`; without a direct way out set HTTPS_PROXY in this shell",
    )


def _dial(host: str, port: int) -> str | None:
    try:
        socket.create_connection((host, port), DIAL).close()
    except (OSError, UnicodeError) as error:  # a label of a name that is too long is the latter
        return str(error)
    return None


def api_key(subject: Subject) -> Outcome | None:
    """Resolves the reference and forgets what it gave."""
    profile = subject.profile
    if profile is None:
        return None
    if profile.api_key is None:
        return ok("the profile names no key; none is sent")
    try:
        resolve(profile.api_key.text())
    except DeployError as error:
        first = error.problems[0]
        return fail(first.message, first.remedy or "see `ernie-deploy profiles schema`")
    return ok(f"there is a key behind {profile.api_key.text()}")


CHECKS = (
    Check(
        "hosted-endpoint",
        "the endpoint can be reached from this machine",
        "without a connection every smoke check could only say that it could not check",
        endpoint,
        "endpoint",
        fast=False,
        runs="elsewhere",
    ),
    Check(
        "hosted-key",
        "the reference to the API key leads to a key",
        "a provider answers a missing key with a 401 that reads like a wrong one",
        api_key,
        "endpoint",
        fast=False,  # `cmd:` may ask over the network
        runs="elsewhere",
    ),
)
