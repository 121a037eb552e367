"""The address of an API: what a URL may hold, and the base below which its routes are."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from launcher.errors import UsageError


def base_url(url: str) -> str:
    """The API's base: `/v1` where the address has no path, no slash at the end.

    Raises:
        UsageError: not an http(s) URL with a host, or one that says more than where the API is.
    """
    problem = url_problem(url)
    if problem:
        raise UsageError.of("bad-url", problem, "TARGET", "http://127.0.0.1:8180/v1")
    parts = urlsplit(url)
    path = parts.path.rstrip("/") or "/v1"
    for route in ("/chat/completions", "/messages"):
        path = path.removesuffix(route)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def url_problem(url: str) -> str | None:
    """What is wrong with the address of an API; None where nothing is.

    An address is shown in every report and in the list of processes, so a secret in it is refused,
    and never repeated.
    """
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_http = False
    if not is_http:
        return f"not an http or https URL: {url.rpartition('@')[2]!r}"
    if "@" in parts.netloc:
        return "the address holds a user or a password: give the key as a reference (--api-key)"
    if parts.query or parts.fragment:
        return "the address has a query or a fragment, which no API's base has"
    return None
